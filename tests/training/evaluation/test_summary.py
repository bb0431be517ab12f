import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError
from fedp.training.evaluation.intervals import mean
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.summary import summarize, write_summary_json


def client(name, adapt, initial, personalized, kept, curve=None):
    deployed = personalized if kept else initial
    curve = curve or (initial, personalized)
    return ClientResult(
        name, adapt, 10, initial, personalized, deployed, kept, "because", curve
    )


# a gains 0.2 and is kept, b loses 0.1 and is reverted, c loses exactly one point and is
# kept, d gains 0.2 and is reverted.
RESULTS = [
    client("a", 9, 0.5, 0.7, True, (0.5, 0.6, 0.7)),
    client("b", 10, 0.8, 0.7, False),
    client("c", 299, 0.50, 0.49, True),
    client("d", 300, 0.6, 0.8, False),
]


def test_means_are_uniform_over_clients():
    summary = summarize(RESULTS)
    assert summary.clients == 4
    assert summary.initial.value == pytest.approx((0.5 + 0.8 + 0.5 + 0.6) / 4)
    assert summary.personalized.value == pytest.approx((0.7 + 0.7 + 0.49 + 0.8) / 4)
    assert summary.deployed.value == pytest.approx((0.7 + 0.8 + 0.49 + 0.6) / 4)


def test_gains_and_the_share_the_guard_keeps():
    summary = summarize(RESULTS)
    assert summary.personalized_gain.value == pytest.approx(
        (0.2 - 0.1 - 0.01 + 0.2) / 4
    )
    assert summary.deployed_gain.value == pytest.approx((0.2 - 0.01) / 4)
    assert summary.gain_kept == pytest.approx(0.19 / 0.29)


def test_no_gain_leaves_nothing_to_keep():
    assert summarize([client("b", 10, 0.8, 0.7, False)]).gain_kept is None


def test_hurt_clients_before_and_after_the_guard():
    summary = summarize(RESULTS)
    assert summary.hurt_before_guard.count == 2  # b and c
    assert summary.hurt_after_guard.count == 1  # c
    assert summary.hurt_a_point_before_guard.count == 1  # b: c lost just one point
    assert summary.hurt_a_point_after_guard.count == 0
    assert (summary.kept.count, summary.kept.of) == (2, 4)


def test_the_mean_curve_holds_on_to_a_client_that_stopped_earlier():
    curve = [point.value for point in summarize(RESULTS).curve]
    last = (0.7 + 0.7 + 0.49 + 0.8) / 4
    first = (0.6 + 0.7 + 0.49 + 0.8) / 4
    assert curve == pytest.approx([0.6, first, last])


def test_bands_split_at_their_lower_ends():
    bands = summarize(RESULTS).bands
    assert [(b.lowest, b.highest, b.clients) for b in bands] == [
        (0, 9, 1),
        (10, 29, 1),
        (100, 299, 1),
        (300, None, 1),
    ]
    assert bands[1].hurt_before_guard.count == 1
    assert bands[1].hurt_after_guard.count == 0
    assert bands[1].personalized_gain.value == pytest.approx(-0.1)
    assert bands[1].deployed_gain.value == 0


def test_tenths_are_of_one_size_and_sorted_by_the_initial_accuracy():
    many = [client(f"c{n:02}", 20, n / 100, (n + 10) / 100, True) for n in range(25)]
    tenths = summarize(many[::-1]).tenths
    assert [t.clients for t in tenths] == [3] * 5 + [2] * 5
    assert [(t.lowest, t.highest) for t in tenths[:2]] == [(0.0, 0.02), (0.03, 0.05)]
    assert all(t.deployed_gain.value == pytest.approx(0.1) for t in tenths)
    assert [t.clients for t in summarize(RESULTS).tenths] == [1] * 4


def test_deciles_lead_from_the_greatest_loss_to_the_greatest_gain():
    many = [client(f"c{n:02}", 20, 0.5, 0.3 + n / 50, True) for n in range(11)]
    summary = summarize(many)
    expected = [n / 50 - 0.2 for n in range(11)]
    assert summary.personalized_deciles == pytest.approx(expected)
    assert summary.deployed_deciles == summary.personalized_deciles


def test_reasons_are_counted_without_their_numbers():
    kinds = [(0.7, "rose by 0.2"), (0.6, "rose by 1"), (0.4, "fell by 0.1")]
    some = [
        dataclasses.replace(client("x", 20, 0.5, p, p > 0.5), reason=reason)
        for p, reason in kinds
    ]
    first, second = summarize(some).reasons
    assert (first.reason, first.kept, first.clients) == ("rose by …", True, 2)
    assert first.personalized_gain.value == pytest.approx(0.15)
    assert (second.reason, second.clients) == ("fell by …", 1)
    assert (second.hurt_before_guard.count, second.hurt_after_guard.count) == (1, 0)


@given(
    st.lists(
        st.lists(st.floats(0, 1), min_size=1, max_size=6).map(tuple),
        min_size=1,
        max_size=9,
    )
)
def test_the_curve_in_one_reading_is_that_of_all_clients_side_by_side(curves):
    some = [client(str(n), 20, c[0], c[-1], True, c) for n, c in enumerate(curves)]
    longest = max(map(len, curves))
    full = np.array([[*c, *[c[-1]] * (longest - len(c))] for c in curves])
    for epoch, point in enumerate(summarize(some).curve):
        wanted = mean(full[:, epoch])
        assert point.value == pytest.approx(wanted.value)
        if wanted.standard_error is not None:
            near = pytest.approx(wanted.standard_error, abs=1e-7)
            assert point.standard_error == near


def test_nobody_to_summarize_is_an_error():
    with pytest.raises(DataError, match="no client"):
        summarize([])


def test_summary_json_is_strict_json_also_for_one_client(tmp_path):
    path = tmp_path / "summary.json"
    write_summary_json(path, summarize(RESULTS[:1]), {"seed": 0})

    def refuse(constant):
        raise AssertionError(constant)

    fields = json.loads(path.read_text(), parse_constant=refuse)
    assert fields["clients"] == 1
    assert fields["initial"] == {
        "value": 0.5,
        "standard_error": None,
        "low": None,
        "high": None,
    }
    assert fields["hurt_after_guard"]["of"] == 1
    assert fields["run"] == {"seed": 0}
