"""The record that a new run starts with, and the check that its data is still there."""

from __future__ import annotations

import importlib.metadata
import platform

from fedp.device_runtime.errors import DataError, RunError
from fedp.training.configuration import ConfigurationError, TrainingConfig
from fedp.training.data.federated import FederatedData
from fedp.training.data.splits import ClientSplit
from fedp.training.loading import open_training_data
from fedp.training.models import build_model
from fedp.training.run_directory import Run, RunRecord
from fedp.training.sampling import sample_clients

_PACKAGES = ("fedp", "tensorflow-federated", "tensorflow", "keras", "numpy", "ray")


def new_record(config: TrainingConfig, data: FederatedData) -> RunRecord:
    """Splits the clients, builds the model once, and notes what the run rests on.

    Raises:
        ConfigurationError: fewer training clients than a round needs.
        ModelError: the model cannot be built for this data.
    """
    names = data.clients()
    split = ClientSplit.of(names, config.split_seed, config.validation, config.test)
    # Fails at once, and not in a round, where there are fewer than a round needs.
    try:
        sample_clients(data, split, config.clients_per_round, [0], 1)
    except DataError as error:
        raise ConfigurationError(
            f"clients per round is {config.clients_per_round}: {error}"
        ) from error
    model = build_model(
        config.model,
        data.input_shape,
        len(data.classes),
        label_shape=data.label_shape,
    )
    return RunRecord(
        config=config,
        data_name=data.name,
        fingerprint=data.fingerprint,
        classes=tuple(data.classes),
        input_shape=tuple(model.input_shape[1:]),
        label_shape=tuple(data.label_shape),
        weights=tuple((w.name, tuple(w.shape)) for w in model.trainable_variables),
        client_split=split.to_json(),
        versions=package_versions(),
    )


def open_same_data(run: Run) -> FederatedData:
    """Opens a run's data set.

    Raises:
        RunError: it is not the one that the run was started on.
    """
    data = open_training_data(run.config)
    if data.fingerprint != run.record.fingerprint:
        raise RunError(
            f"run {run.path} was started on another {run.record.data_name} (other "
            f"clients or counts than in {run.config.data} now): restore that data set, "
            "or start a new run"
        )
    return data


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that make a model what it is."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found
