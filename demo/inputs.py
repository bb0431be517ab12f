"""A page's JSON as examples of a model, and examples as JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import DataError
from fedp.device_runtime.example_store import Examples
from fedp.device_runtime.examples import examples_for, inputs_for

_SMALLEST_SIDE = 8  # of what a person can draw


def drawing_size(manifest: Manifest) -> tuple[int, int] | None:
    """Height and width of what the model sees; None if its input is no grey image."""
    shape = manifest.input_shape
    plane = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    if manifest.input_dtype != "float32" or not plane:
        return None
    height, width = shape[:2]
    return (height, width) if min(height, width) >= _SMALLEST_SIDE else None


def input_of(entry: Any, manifest: Manifest) -> np.ndarray:
    """One input [*input_shape], float32 or int32, of `{"x": numbers}`.

    Args:
        entry: "x" has numbers as the model takes them, nested as its shape is or flat;
            "pixels" in its place has those of an image, 0..255.
        manifest: the model's.

    Raises:
        DataError: neither is there, or they do not fit the model.
    """
    if not isinstance(entry, dict) or ("x" in entry) == ("pixels" in entry):
        raise DataError(
            'an example without numbers: give {"x": ...} or {"pixels": ...}'
        )
    pixels = "pixels" in entry
    name = "pixels" if pixels else "x"
    x = _shaped(_numbers(entry[name], name), name, manifest.input_shape)
    if pixels:
        if x.dtype.kind != "i" or x.min() < 0 or x.max() > 255:
            raise DataError("pixels are whole numbers from 0 to 255: scale them")
        x = x.astype(np.uint8)
    elif manifest.input_dtype == "float32":
        x = x.astype(np.float64)
    return np.asarray(inputs_for(x[None], manifest)[0])


def example_of(entry: Any, manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
    """One input, as `input_of`, and its label [*label_shape], int32 or float32.

    Args:
        entry: of "y", a string names a class, and an integer is its number.
        manifest: the model's.

    Raises:
        DataError: see `input_of`; or the label does not fit the model.
    """
    x = input_of(entry, manifest)
    if "y" not in entry:
        raise DataError('an example without a label: give {"x": ..., "y": ...}')
    y = _numbers(_named(entry["y"], manifest), "y")
    labels = manifest.labels
    if labels.shape:
        y = _shaped(y, "y", labels.shape)
    x, y = examples_for(x[None], y[None], manifest)
    return x[0], y[0]


def stored_like(
    x: np.ndarray, y: np.ndarray, examples: Examples
) -> tuple[np.ndarray, np.ndarray]:
    """An example in the types and shapes of those that an app has stored.

    The state reads only examples of one kind, that of the newest one: an example of
    another kind would hide the app's.
    """
    kind, shape = examples.x.dtype, examples.x.shape[1:]
    if not len(examples.ids) or math.prod(shape) != x.size:
        return x, y
    if kind == np.uint8 and x.dtype == np.float32:
        if x.min() < 0 or x.max() > 1:
            raise DataError("the stored examples are images of 0..1, this one is not")
        x = np.rint(255 * x)
    like = y.astype(examples.y.dtype) if y.shape == examples.y.shape[1:] else y
    return x.astype(kind).reshape(shape), like


def to_json(values: np.ndarray) -> Any:
    """Numbers as lists; what is not finite is None, as JSON has no word for it."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values.tolist()
    found = [v if math.isfinite(v) else None for v in values.ravel().tolist()]
    return np.array(found, object).reshape(values.shape).tolist()


def _named(y: Any, manifest: Manifest) -> Any:
    """Class names become numbers, in lists too."""
    if isinstance(y, list):
        return [_named(one, manifest) for one in y]
    if not isinstance(y, str) or not manifest.labels.are_classes:
        return y
    if y not in manifest.classes:
        known = ", ".join(manifest.classes[:10])
        more = ", ..." if len(manifest.classes) > 10 else ""
        raise DataError(f"label {y[:20]!r} is no class; allowed are {known}{more}")
    return manifest.classes.index(y)


def _numbers(values: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{name} is no even list of numbers: mend it") from error
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name} has what is no number: give numbers alone")
    return array


def _shaped(values: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if values.size != math.prod(shape) or values.ndim not in (1, len(shape)):
        if values.shape + (1,) != shape:
            raise DataError(
                f"{name} has shape {list(values.shape)}; the model takes {list(shape)}"
            )
    return values.reshape(shape)
