"""Whether an artifact and a data set go together, and what they know of each other."""

from __future__ import annotations

import pathlib

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError, DataError
from fedp.training.data import ClientSplit, FederatedData

# Where a manifest's provenance says which data set the model was trained on.
DATA_FINGERPRINT = "data_fingerprint"


def check_labels(artifact: pathlib.Path, manifest: Manifest) -> None:
    """Raises ArtifactError unless there is an accuracy to measure."""
    if not manifest.labels.are_classes:
        raise ArtifactError(
            f"artifact {artifact}: its loss is {manifest.labels.loss}, which has no "
            "accuracy: only models of classes can be evaluated"
        )


def check_fit(data: FederatedData, manifest: Manifest) -> None:
    """Raises DataError unless the model takes this data set's examples and labels."""
    shape, wanted = tuple(data.input_shape), manifest.input_shape
    if wanted not in (shape, (*shape, 1)):
        raise DataError(
            f"{data.name} has examples of shape {list(shape)}, the artifact takes "
            f"{list(wanted)}: give data of that shape"
        )
    if tuple(data.label_shape) != manifest.labels.shape:
        raise DataError(
            f"{data.name} has labels of shape {list(data.label_shape)}, the artifact "
            f"takes {list(manifest.labels.shape)}: give data with such labels"
        )
    if tuple(data.classes) != manifest.classes:
        raise DataError(
            f"{data.name} has {_few(data.classes)}, the artifact has "
            f"{_few(manifest.classes)}: give data with these classes in this order"
        )


def _few(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
    return f"{len(classes)} classes ({shown})"


def client_split(artifact: pathlib.Path, manifest: Manifest) -> ClientSplit | None:
    """The split that the training made; None where the artifact knows of none."""
    if not manifest.client_split:
        return None
    try:
        return ClientSplit.from_json(manifest.client_split)
    except DataError as error:
        raise ArtifactError(f"artifact {artifact}: {error}; export it again") from error


def trained_on(data: FederatedData, manifest: Manifest) -> bool:
    """Whether the artifact says that it was trained on this data set."""
    recorded = manifest.provenance.get(DATA_FINGERPRINT)
    return recorded is not None and recorded == data.fingerprint
