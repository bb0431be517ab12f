"""Weights rounded to float16, which halves the download, and what that costs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from fedp.device_runtime.errors import ExportError


@contextlib.contextmanager
def rounded(model: tf.keras.Model, initial_weights: str) -> Iterator[None]:
    """The model has the weights that the file will have, for as long as this lasts.

    Raises:
        ExportError: no such format, or a weight is beyond float16.
    """
    if initial_weights == "float32":
        yield
        return
    if initial_weights != "float16":
        raise ExportError(
            f"initial weights in {initial_weights!r}; allowed are float32 and float16"
        )
    exact = [v.numpy() for v in model.variables]
    try:
        for variable, value in zip(model.variables, exact, strict=True):
            with np.errstate(over="ignore"):
                half = value.astype(np.float16).astype(value.dtype)
            if not np.isfinite(half).all():
                raise ExportError(
                    f"weight {variable.name} holds numbers beyond float16 (65504): use "
                    "--initial-weights float32"
                )
            variable.assign(half)
        yield
    finally:
        for variable, value in zip(model.variables, exact, strict=True):
            variable.assign(value)
