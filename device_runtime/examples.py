"""Examples as a model takes them: float32 inputs in its shape, int32 labels."""

from __future__ import annotations

import pathlib
import zipfile
import zlib

import numpy as np

from fedp.device_runtime.errors import DataError


def as_examples(
    x: np.ndarray, y: np.ndarray, input_shape: tuple[int, ...], classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Brings inputs and labels to float32 [n, *input_shape] and int32 [n].

    A client without data is no mistake: with n = 0 on both sides, any shape will do.

    Raises:
        DataError: see `as_model_input` and `as_labels`.
    """
    x, y = _as_array(x, "x"), _as_array(y, "y")
    if x.shape[:1] == y.shape[:1] == (0,):
        return np.zeros((0, *input_shape), np.float32), np.zeros(0, np.int32)
    inputs = as_model_input(x, input_shape)
    return inputs, as_labels(y, classes, len(inputs))


def as_model_input(x: np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    """Brings inputs to float32 [n, *input_shape]; uint8 is scaled from 0..255 to 0..1.

    A missing channel axis is added: 28x28 images fit an input of [28, 28, 1].

    Raises:
        DataError: another shape or dtype, or values that are not finite.
    """
    x = _as_array(x, "x")
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
    elif x.dtype in (np.float16, np.float32, np.float64):
        with np.errstate(over="ignore"):  # Inf is reported below.
            x = x.astype(np.float32)
    else:
        raise DataError(
            f"x has dtype {x.dtype}; allowed are uint8 (0..255) and float32: convert it"
        )
    if x.shape[1:] + (1,) == tuple(input_shape):
        x = x[..., np.newaxis]
    if x.ndim == 0 or x.shape[1:] != tuple(input_shape):
        raise DataError(
            f"x has shape {list(x.shape)}; the model takes "
            f"{['n', *input_shape]}".replace("'", "")
            + ": reshape the examples"
        )
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x.reshape(len(x), -1)).all(axis=1)).argmax())
        raise DataError(f"x holds NaN or Inf, first in example {bad}: remove it")
    return x


def as_labels(y: np.ndarray, classes: int, examples: int) -> np.ndarray:
    """Brings labels to int32 [n] and checks that each is in 0..classes-1.

    Raises:
        DataError: another length, dtype, or a label out of range.
    """
    y = _as_array(y, "y")
    if y.ndim != 1 or len(y) != examples:
        raise DataError(
            f"y has shape {list(y.shape)} for {examples} examples; one label an "
            f"example is needed, shape [{examples}]"
        )
    if y.dtype.kind not in "iu":
        raise DataError(f"y has dtype {y.dtype}; labels are integers: convert them")
    wrong = (y < 0) | (y >= classes)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"label {y[at]} of example {at} is out of range; allowed are "
            f"0..{classes - 1}"
        )
    return y.astype(np.int32)


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
