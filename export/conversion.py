"""Runs TensorFlow's converter, quietly, and turns its refusals into one line."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.signatures import ArtifactModule


def convert(module: ArtifactModule) -> bytes:
    """Converts the module's signatures to one TFLite model of builtin ops.

    Raises:
        ExportError: an op has no builtin; names the ops.
    """
    with tempfile.TemporaryDirectory(prefix="fedp-export-") as folder, quiet():
        tf.saved_model.save(module, folder, signatures=module.signatures())
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.experimental_enable_resource_variables = True
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            return bytes(converter.convert())
        except Exception as error:  # the converter raises several private types
            raise ExportError(f"TFLite refuses the model: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "op" in line and "error:" in line] or lines
    return telling[0][:300] if telling else repr(error)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Sends what the C++ converter prints on file descriptor 2 to nowhere."""
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
