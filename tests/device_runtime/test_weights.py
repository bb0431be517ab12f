import numpy as np
import pytest

from fedp.device_runtime.contract import WeightSpec
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.weights import all_finite, blob_size, from_blob, to_blob

SPECS = (WeightSpec("w0", "dense/kernel:0", (2, 3)), WeightSpec("w1", "b:0", (3,)))
WEIGHTS = {
    "w1": np.array([-0.0, np.pi, 1e-45], np.float32),
    "w0": np.arange(6, dtype=np.float32).reshape(2, 3),
}


def test_blob_is_float32_in_manifest_order() -> None:
    blob = to_blob(WEIGHTS, SPECS)
    assert blob == WEIGHTS["w0"].tobytes() + WEIGHTS["w1"].tobytes()
    assert len(blob) == blob_size(SPECS) == 9 * 4


def test_round_trip_is_bit_exact() -> None:
    back = from_blob(to_blob(WEIGHTS, SPECS), SPECS)
    assert {name: w.shape for name, w in back.items()} == {"w0": (2, 3), "w1": (3,)}
    assert all(back[name].tobytes() == w.tobytes() for name, w in WEIGHTS.items())


def test_wrong_length() -> None:
    with pytest.raises(StateError, match="35 bytes.* has 36"):
        from_blob(to_blob(WEIGHTS, SPECS)[:-1], SPECS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"w0": WEIGHTS["w0"]},
        {**WEIGHTS, "w1": np.zeros(4, np.float32)},
        {**WEIGHTS, "w2": np.zeros(1, np.float32)},
        {**WEIGHTS, "w0": WEIGHTS["w0"].T},
    ],
)
def test_wrong_weights(wrong: dict[str, np.ndarray]) -> None:
    with pytest.raises(StateError, match="weight w[012] has shape"):
        to_blob(wrong, SPECS)


def test_all_finite() -> None:
    assert all_finite(WEIGHTS)
    assert not all_finite({**WEIGHTS, "w1": np.array([0, np.inf, 0], np.float32)})
