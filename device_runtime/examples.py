"""Examples as a model takes them: inputs and labels in its shapes and dtypes."""

from __future__ import annotations

import pathlib
import zipfile
import zlib

import numpy as np

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import DataError

_TOKENS = 2**31  # those from 0 that int32 holds


def examples_for(
    x: np.ndarray, y: np.ndarray, manifest: Manifest
) -> tuple[np.ndarray, np.ndarray]:
    """Brings inputs and labels to what an artifact's signatures take.

    A client without data is no mistake: with n = 0 on both sides, any shape will do.

    Raises:
        DataError: see `inputs_for`, `as_labels` and `as_numbers`.
    """
    x, y = _as_array(x, "x"), _as_array(y, "y")
    labels = manifest.labels
    if x.shape[:1] == y.shape[:1] == (0,):
        inputs = np.zeros((0, *manifest.input_shape), manifest.input_dtype)
        return inputs, np.zeros((0, *labels.shape), labels.dtype)
    inputs = inputs_for(x, manifest)
    if not labels.are_classes:
        return inputs, as_numbers(y, (len(inputs), *labels.shape))
    # A sequence may be shorter than the model: its steps without a label have -1.
    lowest = -1 if labels.shape else 0
    classes = len(manifest.classes)
    return inputs, as_labels(y, classes, (len(inputs), *labels.shape), lowest)


def inputs_for(x: np.ndarray, manifest: Manifest) -> np.ndarray:
    """Brings inputs to the artifact's dtype, [n, *input_shape].

    Raises:
        DataError: see `as_model_input` and `as_tokens`.
    """
    if manifest.input_dtype == "int32":
        return as_tokens(x, manifest.input_shape, manifest.tokens)
    return as_model_input(x, manifest.input_shape)


def as_model_input(x: np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    """Brings inputs to float32 [n, *input_shape]; uint8 is scaled from 0..255 to 0..1.

    A missing channel axis is added: 28x28 images fit an input of [28, 28, 1].

    Raises:
        DataError: another shape or dtype, or values that are not finite.
    """
    x = _as_array(x, "x")
    # By their codes, which is quick: this comes before every single prediction.
    kind = x.dtype.str
    if kind == "|u1":
        x = x.astype(np.float32) / np.float32(255)
    elif kind in ("<f2", "<f8"):
        with np.errstate(over="ignore"):  # Inf is reported below.
            x = x.astype(np.float32)
    elif kind != "<f4":
        raise DataError(
            f"x has dtype {x.dtype}; allowed are uint8 (0..255) and float32: convert it"
        )
    x = _shaped(x, input_shape)
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x.reshape(len(x), -1)).all(axis=1)).argmax())
        raise DataError(f"x holds NaN or Inf, first in example {bad}: remove it")
    return x


def as_tokens(x: np.ndarray, input_shape: tuple[int, ...], tokens: int) -> np.ndarray:
    """Brings tokens to int32 [n, *input_shape] and checks that each is known.

    Args:
        x: any integers.
        input_shape: of an example.
        tokens: how many there are; 0 for as many as int32 holds.

    Raises:
        DataError: another shape or dtype, or a token out of range.
    """
    x = _as_array(x, "x")
    if x.dtype.kind not in "iu":
        raise DataError(f"x has dtype {x.dtype}; tokens are integers: convert them")
    x = _shaped(x, input_shape)
    last = (tokens or _TOKENS) - 1
    wrong = (x < 0) | (x > last)
    if wrong.any():
        raise DataError(
            f"token {x[wrong][0]} of example {int(np.argwhere(wrong)[0][0])} is out of "
            f"range; allowed are 0..{last}"
        )
    return x.astype(np.int32)


def _shaped(x: np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    if x.shape[1:] == input_shape:
        return x
    if x.shape[1:] + (1,) == tuple(input_shape):
        x = x[..., np.newaxis]
    if x.ndim == 0 or x.shape[1:] != tuple(input_shape):
        raise DataError(
            f"x has shape {list(x.shape)}; the model takes "
            f"{['n', *input_shape]}".replace("'", "")
            + ": reshape the examples"
        )
    return x


def as_labels(
    y: np.ndarray, classes: int, shape: tuple[int, ...], lowest: int = 0
) -> np.ndarray:
    """Brings labels to int32 of this shape; each is in lowest..classes-1.

    Raises:
        DataError: another shape, dtype, or a label out of range.
    """
    y = _labelled(y, shape)
    if y.dtype.kind not in "iu":
        raise DataError(f"y has dtype {y.dtype}; labels are integers: convert them")
    wrong = (y < lowest) | (y >= classes)
    if wrong.any():
        raise DataError(
            f"label {y[wrong][0]} of example {int(np.argwhere(wrong)[0][0])} is out of "
            f"range; allowed are {lowest}..{classes - 1}"
        )
    return y.astype(np.int32)


def as_numbers(y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Brings the numbers of a regression to float32 of this shape.

    Raises:
        DataError: another shape or dtype, or values that are not finite.
    """
    y = _labelled(y, shape)
    if y.dtype.kind not in "iuf":
        raise DataError(f"y has dtype {y.dtype}; numbers are needed: convert it")
    with np.errstate(over="ignore"):
        y = y.astype(np.float32)
    if not np.isfinite(y).all():
        raise DataError("y holds NaN or Inf: remove those examples")
    return y


def _labelled(y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    y = _as_array(y, "y")
    if y.shape != shape:
        what = "one label" if len(shape) == 1 else f"labels of shape {list(shape[1:])}"
        raise DataError(
            f"y has shape {list(y.shape)} for {shape[0]} examples; {what} an example "
            f"is needed, shape {list(shape)}"
        )
    return y


def _as_array(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"{name} has examples of different shapes: bring all to one shape"
        ) from error


def read_arrays(path: str | pathlib.Path, *names: str) -> list[np.ndarray]:
    """Reads named arrays of an .npz file.

    Raises:
        DataError: no such file, not an .npz, a missing array, or pickled objects.
    """
    try:
        # NumPy leaves a damaged file open that it has opened itself.
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array")
            for name in names:
                if name not in file.files:
                    raise DataError(
                        f"{path} has no array {name!r} (it has {sorted(file.files)}): "
                        f"an .npz with {', '.join(names)} is needed"
                    )
            return [file[name] for name in names]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; give an existing .npz") from error
    except DataError:
        raise
    # Damaged deflate data and encrypted members are a zlib.error and a RuntimeError.
    except (
        ValueError,
        OSError,
        EOFError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"{path} cannot be read as an .npz file ({error}): write it with "
            "numpy.savez"
        ) from error
