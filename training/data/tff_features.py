"""What TFF's data sets call their features, and how they become examples."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.training.data import text

SNIPPETS = "snippets"
_LABELS = ("label", "y")
_INPUTS = ("pixels", "x", "image")
_IMAGE_SIZE = 28 * 28
_MOST_CLASSES = 100_000
_CHARACTERS = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)


class Features(NamedTuple):
    """Names of the features that are read.

    Attributes:
        x: inputs, or "snippets" of text to cut into windows.
        y: labels; None with text.
    """

    x: str
    y: str | None


def find_features(names: Iterable[str]) -> Features:
    """Tells the features of `fed_emnist`, `shakespeare` and their like by name.

    Raises:
        DataError: no inputs or no labels among them.
    """
    have = sorted(names)
    if SNIPPETS in have:
        return Features(SNIPPETS, None)
    y = next((name for name in _LABELS if name in have), None)
    others = [name for name in have if name != y]
    x = next((name for name in _INPUTS if name in others), None)
    if x is None and len(others) == 1:
        x = others[0]
    if x is None or y is None:
        raise DataError(
            f"has features {', '.join(have) or 'none'}; needed are pixels (or x) and "
            "label, as in fed_emnist, or snippets, as in shakespeare"
        )
    return Features(x, y)


def class_names(features: Features, input_shape: tuple[int, ...], most: int) -> tuple:
    """Names of the classes: characters of text and of EMNIST, else numbers.

    Args:
        features: what is read.
        input_shape: one example's shape; [28, 28] is taken for EMNIST.
        most: the highest label.
    """
    if features.y is None:
        return text.TOKEN_NAMES
    if input_shape == (28, 28) and most < len(_CHARACTERS):
        return _CHARACTERS if most >= 10 else _CHARACTERS[:10]
    return tuple(str(number) for number in range(most + 1))


def check_label_range(least: int, most: int) -> None:
    """Raises DataError unless labels are class numbers."""
    if least < 0 or most >= _MOST_CLASSES:
        raise DataError(
            f"has label {least if least < 0 else most}; allowed are "
            f"0..{_MOST_CLASSES - 1}"
        )


def as_inputs(x: np.ndarray) -> np.ndarray:
    """Brings inputs to uint8, float32 or int32 (tokens); 784 numbers to [28, 28].

    Raises:
        DataError: another dtype, or tokens that are no int32.
    """
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # Inf is reported where data are loaded.
            x = x.astype(np.float32, copy=False)
    elif x.dtype.kind in "iu" and x.dtype != np.uint8:
        if x.size and (x.min() < 0 or x.max() >= 2**31):
            raise DataError("x holds integers out of range; allowed are 0..2147483647")
        x = x.astype(np.int32)
    elif x.dtype != np.uint8:
        raise DataError(f"x has dtype {x.dtype}; allowed are numbers: convert it")
    if x.shape[1:] == (_IMAGE_SIZE,) and x.dtype != np.int32:
        return x.reshape(-1, 28, 28)
    return x
