import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError, FedpError
from fedp.training.evaluation.calibration import Bins
from fedp.training.evaluation.results import (
    ClientResult,
    read_clients_csv,
    write_clients_csv,
)

_accuracy = st.floats(0, 1)
_text = st.text(st.characters(exclude_categories=["Cs"]))
_counts = st.lists(st.integers(0, 10**6), min_size=10, max_size=10).map(tuple)
_sums = st.lists(st.floats(0, 1e6), min_size=10, max_size=10).map(tuple)
_bins = st.builds(Bins, _counts, _counts, _sums)
_results = st.builds(
    ClientResult,
    client=_text,
    adapt_examples=st.integers(0, 10**6),
    test_examples=st.integers(1, 10**6),
    initial=_accuracy,
    personalized=_accuracy,
    deployed=_accuracy,
    kept=st.booleans(),
    reason=_text,
    curve=st.lists(_accuracy, min_size=1).map(tuple),
    initial_bins=_bins,
    deployed_bins=_bins,
)


@given(st.lists(_results, max_size=4))
def test_csv_gives_back_every_field(tmp_path_factory, results):
    path = tmp_path_factory.mktemp("csv") / "clients.csv"
    write_clients_csv(path, results)
    assert read_clients_csv(path) == results


@pytest.mark.parametrize(
    "text",
    ["", "client,initial\na,1\n", "\x00\x01"],
    ids=["empty", "other columns", "binary"],
)
def test_another_file_is_one_clear_line(tmp_path, text):
    path = tmp_path / "clients.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"clients\.csv.*fedp evaluate") as caught:
        read_clients_csv(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_row_and_a_missing_file_are_data_errors(tmp_path):
    path = tmp_path / "clients.csv"
    good = ClientResult("a", 3, 3, 0.5, 0.6, 0.6, True, "better", (0.5, 0.6))
    write_clients_csv(path, [good])
    path.write_text(path.read_text().replace("yes", "maybe"))
    with pytest.raises(DataError, match="maybe"):
        read_clients_csv(path)
    with pytest.raises(DataError, match="No such file"):
        read_clients_csv(tmp_path / "none.csv")


def test_a_failed_write_leaves_the_old_table(tmp_path):
    path = tmp_path / "clients.csv"
    path.write_text("old")
    # The device without room: writing to it fails as on a full disk.
    (tmp_path / ".clients.csv.part").symlink_to("/dev/full")
    with pytest.raises(FedpError, match=r"clients\.csv cannot be written .No space"):
        write_clients_csv(path, [])
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["clients.csv"]
