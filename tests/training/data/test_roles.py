import gzip
import json
import pathlib

import numpy as np
import pytest

from fedp.device_runtime.errors import DataError
from fedp.training.data import open_data, text

ROLES = pathlib.Path(__file__).parents[4] / "shared/data/shakespeare_by_role"
SPEECHES = {"Lear | FOOL": ["Nuncle!", "é" * 90], "Lear | KENT": ["Ay."], "Mute": []}


@pytest.mark.parametrize("name", ["roles.json", "roles.json.gz"])
def test_speeches_are_cut_into_windows(name, tmp_path):
    content = json.dumps(SPEECHES).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with open_data(f"shakespeare:{path}") as data:
        assert list(data.clients()) == ["Lear | FOOL", "Lear | KENT"]
        assert data.input_shape == data.label_shape == (80,) and data.name == name
        expected = text.windows(s.encode() for s in SPEECHES["Lear | FOOL"])
        np.testing.assert_array_equal(data.load("Lear | FOOL").x, expected.x)
        assert data.count("Lear | FOOL") == 1 + 3
        assert data.train_count("Lear | KENT") is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"a": "b"}', b'{"a": [1]}', b"\x1f\x8b", b'"\xff"']
)
@pytest.mark.parametrize("name", ["roles.json", "roles.json.gz"])
def test_files_that_cannot_be_used(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_data(f"shakespeare:{tmp_path / name}")
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(
    not ROLES.exists(), reason="no ../shared/data/shakespeare_by_role here"
)
def test_real_roles():
    with open_data(f"shakespeare:{ROLES / 'roles.json.gz'}") as data:
        assert len(data.clients()) == 1350
        for client in data.clients()[::100]:
            x, y = data.load(client)
            assert (y >= 0).any(axis=1).all() and (x != text.OOV).all()
