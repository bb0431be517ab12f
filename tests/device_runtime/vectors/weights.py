"""Weights: the blob that a host stores, and models half-way to the adapted one."""

from typing import Any

import numpy as np

from fedp.device_runtime.contract import WeightSpec
from fedp.device_runtime.weights import to_blob

SPECS = (
    WeightSpec("w0", "dense/kernel:0", (2, 3)),
    WeightSpec("w1", "dense/bias:0", (3,)),
)


def blobs() -> list[dict[str, Any]]:
    """Two weights, and a model's whole state as little-endian float32 in hex."""
    arrays = {
        "w0": np.array([[0.1, -2.0, 3.5], [1e-10, 6e20, -0.0]], np.float32),
        "w1": np.array([1 / 3, 2 / 3, 1.0], np.float32),
    }
    return [
        {
            "name": "a dense layer",
            "weights": [{"name": s.name, "shape": s.shape} for s in SPECS],
            "values": {name: array.tolist() for name, array in arrays.items()},
            "blob": to_blob(arrays, SPECS).hex(),
        }
    ]


def blends() -> list[dict[str, Any]]:
    """theta + blend (theta_i - theta), each operation rounded to float32."""
    random = np.random.default_rng(23)
    theta = random.normal(0, 0.1, 12).astype(np.float32)
    adapted = (theta + random.normal(0, 0.01, 12)).astype(np.float32)
    # Far apart: theta + 1 (theta_i - theta) is not theta_i.
    theta[-1], adapted[-1] = 1e8, 0.1
    found = []
    for blend in (0.1, 0.25, 0.5, 0.7, 1.0):
        step = np.float32(blend) * (adapted - theta)
        live = adapted if blend == 1 else theta + step
        found.append(
            {
                "name": f"blend {blend}",
                "initial": theta.tolist(),
                "adapted": adapted.tolist(),
                "blend": blend,
                "live": live.tolist(),
            }
        )
    return found
