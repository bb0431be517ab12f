"""From a Keras model in a file, wherever it was trained, to an artifact."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.errors import ExportError
from fedp.export.exporter import Export, Target, export_model

SUFFIXES = (".keras", ".h5")


def export_keras(
    path: str | pathlib.Path,
    *,
    classes: Sequence[str] | None = None,
    loss: str = contract.CROSS_ENTROPY,
    target: Target | None = None,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Export:
    """Exports a model that `model.save` wrote.

    Nobody knows whom it was trained on, so it has no client split: an evaluation must
    be told with --new-clients or --seen-clients.

    Args:
        path: a .keras or .h5 file.
        classes: labels; 0, 1, ... unless given.
        loss: one of `contract.LOSSES`.
        target: how it is to train.
        seed: of the parity check's inputs.
        report: is told what is being done, a line each.

    Raises:
        ExportError: the file cannot be loaded; see also `export_model`.
    """
    path = pathlib.Path(path)
    try:
        model = tf.keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises what its layers raise
        reason = " ".join(str(error).split())
        raise ExportError(
            f"{path} cannot be loaded as a Keras model ({reason[:300]}): save it with "
            "model.save('model.keras'), without custom objects"
        ) from error
    if not getattr(model, "inputs", None) or len(model.inputs) + len(model.outputs) > 2:
        raise ExportError(
            f"{path} holds a model without one fixed input and output: a functional or "
            "Sequential model with an Input is needed"
        )
    target = target or Target()
    if target.initial_weights == "float16":
        report(
            "what float16 costs in accuracy is not known: a Keras file brings no data"
        )
    last = 2 if loss == contract.BINARY else model.output_shape[-1]
    return export_model(
        model,
        name=model.name,
        classes=classes or [str(number) for number in range(last or 0)],
        loss=loss,
        target=target,
        provenance={"file": path.name},
        seed=seed,
        report=report,
    )
