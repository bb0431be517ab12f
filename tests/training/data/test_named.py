import pathlib
import urllib.error

import pytest

from fedp.device_runtime.errors import DataError
from fedp.training.data import named, open_data
from fedp.training.data.named import DOWNLOADS

tff = pytest.importorskip("tensorflow_federated", reason="TFF downloads")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path)
    return tmp_path


def offline(_origin, filename):
    pathlib.Path(filename).write_bytes(b"the first bytes")
    raise urllib.error.URLError("Name or service not known")


@pytest.mark.parametrize("name", DOWNLOADS)
def test_without_a_network_it_says_what_to_do(name, home, monkeypatch):
    download = tff.simulation.datasets.emnist.load_data.__globals__["download"]
    monkeypatch.setattr(download, "_fetch_lzma_file", offline)
    with pytest.raises(DataError) as caught:
        open_data(name)
    message, file = str(caught.value), DOWNLOADS[name].file
    assert f"data set {name} cannot be downloaded" in message and "\n" not in message
    assert f"fetch https://storage.googleapis.com/tff-datasets-public/{file}" in message
    assert (
        "xz --format=lzma --decompress" in message and f"{name}:PATH/{file}" in message
    )
    # TFF would take a part of the file for all of it the next time.
    assert not (home / ".tff" / file).exists()


def test_the_origins_are_those_of_tff(home, monkeypatch):
    download = tff.simulation.datasets.emnist.load_data.__globals__["download"]
    origins = []

    def note(origin, _filename):
        origins.append(origin)
        raise urllib.error.URLError("offline")

    monkeypatch.setattr(download, "_fetch_lzma_file", note)
    for name, known in DOWNLOADS.items():
        with pytest.raises(DataError):
            open_data(name)
        assert origins[-1] == f"{named._SITE}/{known.file}.lzma"


def test_a_file_in_the_cache_is_not_fetched_again(home, monkeypatch):
    import tensorflow as tf

    (home / ".tff").mkdir()
    snippets = tf.data.Dataset.from_tensor_slices({"snippets": [b"Hark!"]})
    tff.simulation.datasets.save_to_sql_client_data(
        ["a", "b"],
        lambda _: snippets,
        str(home / ".tff" / "shakespeare.sqlite"),
        split_names_by_client_id={"a": "train", "b": "test"},
    )
    monkeypatch.setattr(tff.simulation.datasets, "shakespeare", None)
    with open_data("shakespeare") as data:
        assert data.name == "shakespeare" and list(data.clients()) == ["a", "b"]


def test_a_packed_file_is_to_be_unpacked(tmp_path):
    path = tmp_path / "shakespeare.sqlite.lzma"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"unpack it with `xz .*{path}`") as caught:
        open_data(f"shakespeare:{path}")
    assert str(caught.value).endswith(f"shakespeare:{tmp_path}/shakespeare.sqlite")
