import json

import pytest

from fedp.device_runtime.errors import DataError
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
    assert [(b.fewest, b.most, b.clients) for b in bands] == [
        (0, 9, 1),
        (10, 29, 1),
        (100, 299, 1),
        (300, None, 1),
    ]
    assert bands[1].hurt_before_guard.count == 1
    assert bands[1].hurt_after_guard.count == 0
    assert bands[1].personalized_gain.value == pytest.approx(-0.1)
    assert bands[1].deployed_gain.value == 0


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
