"""A model's weights as named arrays, and as one blob of raw float32 numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fedp.device_runtime.contract import WeightSpec
from fedp.device_runtime.errors import StateError

# Name ("w0", "w1", ...) -> float32 array of the shape in the manifest.
Weights = dict[str, np.ndarray]

_FLOAT = np.dtype("<f4")


def blob_size(specs: Sequence[WeightSpec]) -> int:
    """Length of the blob in bytes."""
    return sum(_count(spec) for spec in specs) * _FLOAT.itemsize


def to_blob(weights: Mapping[str, np.ndarray], specs: Sequence[WeightSpec]) -> bytes:
    """Concatenates weights in manifest order as little-endian float32.

    Raises:
        StateError: a weight is missing or has another shape.
    """
    check(weights, specs)
    return b"".join(weights[spec.name].astype(_FLOAT).tobytes() for spec in specs)


def from_blob(blob: bytes, specs: Sequence[WeightSpec]) -> Weights:
    """Splits what `to_blob` joined.

    Raises:
        StateError: the blob has another length.
    """
    if len(blob) != blob_size(specs):
        raise StateError(
            f"stored weights have {len(blob)} bytes, the artifact's model has "
            f"{blob_size(specs)}: forget the state with `fedp reset`"
        )
    if not specs:
        return {}
    numbers = np.frombuffer(blob, _FLOAT).astype(np.float32)
    ends = np.cumsum([_count(spec) for spec in specs])[:-1]
    parts = np.split(numbers, ends)
    return {
        spec.name: part.reshape(spec.shape)
        for spec, part in zip(specs, parts, strict=True)
    }


def check(weights: Mapping[str, np.ndarray], specs: Sequence[WeightSpec]) -> None:
    """Checks names and shapes; an interpreter would silently take a wrong shape.

    Raises:
        StateError: a weight is missing, unknown, or has another shape.
    """
    found = {name: tuple(value.shape) for name, value in weights.items()}
    wanted = {spec.name: tuple(spec.shape) for spec in specs}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise StateError(
                f"weight {name} has shape {found.get(name)}, the artifact's model "
                f"wants {wanted.get(name)}: use weights saved from this artifact"
            )


def blended(theta: Weights, adapted: Weights, blend: float) -> Weights:
    """The weights theta + blend (adapted - theta), in float32."""
    if blend == 1:
        return adapted
    share = np.float32(blend)
    return {name: w + share * (adapted[name] - w) for name, w in theta.items()}


def all_finite(weights: Mapping[str, np.ndarray]) -> bool:
    """Whether no weight is NaN or Inf."""
    return all(bool(np.isfinite(value).all()) for value in weights.values())


def _count(spec: WeightSpec) -> int:
    return int(np.prod(spec.shape, dtype=np.int64))
