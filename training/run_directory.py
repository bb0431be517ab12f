"""A run directory: all it takes to continue, export or audit a training run.

    run.json          RunRecord: configuration, data, clients by role, progress
    checkpoints/      the server's state after a round, the last two
    stage_NAME.npz    the model's weights after a stage
    metrics.csv       one line a round
    participants.csv  who took part in which round
    secret            decides who takes part in differentially private rounds
    tensorboard/      metrics.csv as curves
    log.txt           what `fedp train` told, a time before each line
    engine.log        output of the engine's other processes, where it has any

Needs only NumPy, so that an export need not start TensorFlow Federated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from fedp.device_runtime.errors import RunError
from fedp.training.checkpoints import read_arrays, write_arrays, write_run_file
from fedp.training.configuration import TrainingConfig
from fedp.training.data.splits import ClientSplit

FORMAT = 2
RUNNING, INTERRUPTED, FINISHED = "running", "interrupted", "finished"


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What run.json holds.

    Attributes:
        config: what was asked for.
        data_name: of the data set.
        fingerprint: of the data set.
        classes: label of each class.
        input_shape: one example's shape as the model takes it.
        label_shape: one example's labels; () for one class.
        weights: name and shape of each weight, in the model's order.
        client_split: fields of the ClientSplit, which says each client's role.
        versions: of Python and of the packages that make a model what it is.
        status: "running" (also after a crash), "interrupted" or "finished".
        rounds: rounds done, over all stages.
        privacy: of a finished run with DP stages, what `privacy_spent` returns.
        peak_memory_mb: of the process that finished it.
        format: version of this layout.
    """

    config: TrainingConfig
    data_name: str
    fingerprint: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    label_shape: tuple[int, ...]
    weights: tuple[tuple[str, tuple[int, ...]], ...]
    client_split: dict[str, Any]
    versions: dict[str, str]
    status: str = RUNNING
    rounds: int = 0
    privacy: dict[str, Any] | None = None
    peak_memory_mb: float | None = None
    format: int = FORMAT

    @property
    def split(self) -> ClientSplit:
        """Says which client trains, validates or tests."""
        return ClientSplit.from_json(self.client_split)

    def to_json(self) -> str:
        """Returns indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """Reads what `to_json` gave.

        Raises:
            RunError: damaged, or of another format.
        """
        try:
            fields = json.loads(text)
            if fields["format"] != FORMAT:
                raise ValueError(f"format {fields['format']}, expected {FORMAT}")
            return cls(
                config=TrainingConfig.from_json(fields.pop("config")),
                classes=tuple(fields.pop("classes")),
                input_shape=tuple(fields.pop("input_shape")),
                weights=tuple((n, tuple(s)) for n, s in fields.pop("weights")),
                label_shape=tuple(fields.pop("label_shape")),
                **fields,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"run.json cannot be read ({error!r}): it is damaged or from another "
                "fedp release; train again"
            ) from error


@dataclasses.dataclass(frozen=True)
class Run:
    """A run directory and its record.

    Attributes:
        path: the directory.
        record: what run.json held when it was read or last written.
    """

    path: pathlib.Path
    record: RunRecord

    @property
    def config(self) -> TrainingConfig:
        """What was asked for."""
        return self.record.config

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def update(self, **changes: Any) -> Run:
        """Returns the run with other record fields, written to run.json."""
        run = Run(self.path, dataclasses.replace(self.record, **changes))
        text = run.record.to_json().encode()
        write_run_file(self.path / "run.json", lambda file: file.write(text))
        return run

    def weights(self, stage: str | None = None) -> list[np.ndarray]:
        """The model's weights after a stage, float32, in the order of `record.weights`.

        Args:
            stage: its name; None for the last one.

        Raises:
            RunError: no such stage, or the run has not finished it.
        """
        names = [each.name for each in self.config.stages]
        stage = names[-1] if stage is None else stage
        if stage not in names:
            raise RunError(
                f"run {self.path} has no stage {stage!r}; it has {', '.join(names)}"
            )
        path = self._stage_file(stage)
        if not path.exists():
            raise RunError(
                f"run {self.path} has not finished stage {stage!r} "
                f"({self.record.rounds} of {self.config.total_rounds} rounds done): "
                f"continue it with `fedp train --resume {self.path}`"
            )
        return read_arrays(path)

    def secret(self) -> list[int]:
        """Four random numbers that nothing but this directory knows; made when needed.

        They leave the run neither with an export nor with `--repeat`.
        """
        path = self.path / "secret"
        if not path.exists():
            drawn = np.frombuffer(os.urandom(16), np.uint32).tolist()
            text = json.dumps(drawn).encode()

            def write(file: IO[bytes]) -> None:
                os.fchmod(file.fileno(), 0o600)
                file.write(text)

            write_run_file(path, write)
        numbers: list[int] = json.loads(path.read_text())
        return numbers

    def save_stage(self, stage: str, weights: Sequence[np.ndarray]) -> None:
        """Writes the model's weights after a stage."""
        write_arrays(self._stage_file(stage), weights)

    def _stage_file(self, stage: str) -> pathlib.Path:
        return self.path / f"stage_{stage}.npz"


def check_vacant(path: pathlib.Path) -> None:
    """Makes sure that a new run would overwrite nothing.

    Raises:
        RunError: `path` is a file, or a directory that holds something.
    """
    if path.is_dir() and _never_begun(path):
        return
    if path.exists():
        raise RunError(
            f"run {path} exists already: give another --out, or continue it with "
            f"`fedp train --resume {path}`"
        )


def _never_begun(path: pathlib.Path) -> bool:
    """Whether all that is here is what a run killed before its first line leaves."""
    here = {each.name for each in path.iterdir()}
    if not here <= {"checkpoints", ".run.json.part"}:
        return False
    return "checkpoints" not in here or not any((path / "checkpoints").iterdir())


def create_run(path: pathlib.Path, record: RunRecord) -> Run:
    """Creates a run directory.

    Raises:
        RunError: something is there already, or it cannot be written.
    """
    check_vacant(path)
    run = Run(path, record)
    try:
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        return run.update()
    except (OSError, RunError) as error:
        with contextlib.suppress(OSError):  # Half a run would only be in the way.
            run.checkpoints.rmdir()
            path.rmdir()
        raise RunError(
            f"run {path} cannot be created ({error}): give an --out "
            "that you may write to"
        ) from error


def load_run(path: str | pathlib.Path) -> Run:
    """Opens a run directory.

    Raises:
        RunError: there is none, or its record is damaged.
    """
    path = pathlib.Path(path)
    try:
        text = (path / "run.json").read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"{path} is no run directory (no readable run.json in it): give one that "
            "`fedp train --out` created, or start that again if it never began"
        ) from error
    try:
        return Run(path, RunRecord.from_json(text))
    except RunError as error:
        raise RunError(f"run {path}: {error}") from error


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keeps a second process from training the same run; ends with its holder.

    Raises:
        RunError: another process holds it.
    """
    # Not run.json: that is another file after every update.
    with open(run.path / ".lock", "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(
                f"run {run.path} is being trained or tuned by another process: wait "
                "for it"
            ) from error
        yield
