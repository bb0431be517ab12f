"""The record that a new run starts with, and the check that its data is still there."""

from __future__ import annotations

import importlib.metadata
import platform

from fedp.device_runtime.errors import RunError
from fedp.training.configuration import ConfigurationError, TrainingConfig
from fedp.training.data.federated import FederatedData
from fedp.training.data.splits import ROLES, ClientSplit
from fedp.training.models import build_model
from fedp.training.run_directory import Run, RunRecord

_PACKAGES = ("fedp", "tensorflow-federated", "tensorflow", "keras", "numpy")


def new_record(config: TrainingConfig, data: FederatedData) -> RunRecord:
    """Splits the clients, builds the model once, and notes what the run rests on.

    Raises:
        ConfigurationError: fewer training clients than a round needs.
        ModelError: the model cannot be built for this data.
    """
    names = data.clients()
    split = ClientSplit.of(names, config.split_seed, config.validation, config.test)
    clients: dict[str, list[str]] = {role: split.select(names, role) for role in ROLES}
    if len(clients["train"]) < config.clients_per_round:
        raise ConfigurationError(
            f"clients per round is {config.clients_per_round}; {data.name} has only "
            f"{len(clients['train'])} training clients: take fewer a round"
        )
    model = build_model(config.model, data.input_shape, len(data.classes))
    return RunRecord(
        config=config,
        data_name=data.name,
        fingerprint=data.fingerprint,
        classes=tuple(data.classes),
        input_shape=tuple(model.input_shape[1:]),
        weights=tuple((w.name, tuple(w.shape)) for w in model.trainable_variables),
        client_split=split.to_json(),
        clients=clients,
        versions=_versions(),
    )


def check_same_data(run: Run, data: FederatedData) -> None:
    """Raises RunError unless a run's data set is the one it was started on."""
    known = sorted(name for names in run.record.clients.values() for name in names)
    if data.fingerprint != run.record.fingerprint or sorted(data.clients()) != known:
        raise RunError(
            f"run {run.path} was started on another {run.record.data_name} (other "
            f"clients or counts than in {run.config.data} now): restore that data set, "
            "or start a new run"
        )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found
