"""What one adaptation of one client showed, and the file that remembers it.

One JSON object a line, written as soon as it is known, so that a tuning that was killed
goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import RunError
from fedp.device_runtime.guard import Evidence, Score
from fedp.training.tuning.grid import ADAPTED, adaptation_key


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model of one client at one time.

    Attributes:
        losses: log loss of each hold-out example; NaN where it is not finite.
        correct: share of each hold-out example's labels that are hit, 0..1.
        accuracy: on the test part, which the device never sees, 0..1.
        finite: whether training losses and weights were finite numbers till then.
    """

    losses: tuple[float, ...]
    correct: tuple[float, ...]
    accuracy: float
    finite: bool = True

    @property
    def score(self) -> Score:
        """What the guard looks at."""
        losses = np.array(self.losses, np.float32)
        return Score(losses, np.array(self.correct, np.float32))


@dataclasses.dataclass(frozen=True)
class ClientRecord:
    """One client through one adaptation.

    Attributes:
        policy: the adaptation's; its guard settings mean nothing.
        client: its name.
        examples: how many it adapted on.
        tested: how many the test part has.
        initial: the initial model.
        after: the adapted model, by local epochs.
    """

    policy: Policy
    client: str
    examples: int
    tested: int
    initial: Measured
    after: dict[int, Measured]

    @property
    def key(self) -> tuple[Any, ...]:
        """Of the adaptation and the client."""
        return (*adaptation_key(self.policy), self.client)

    def evidence(self, epochs: int) -> Evidence:
        """What the guard would have seen after so many epochs."""
        after = self.after[epochs]
        return Evidence(self.initial.score, after.score, self.examples, after.finite)

    def to_json(self) -> str:
        """One line."""
        fields = dataclasses.asdict(self)
        fields["policy"] = {name: fields["policy"][name] for name in ADAPTED}
        for measured in (fields["initial"], *fields["after"].values()):
            measured["losses"] = [
                v if math.isfinite(v) else None for v in measured["losses"]
            ]
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> ClientRecord:
        """Reads what `to_json` gave; ValueError, TypeError or KeyError if damaged."""
        fields = json.loads(line)
        after = {int(n): _measured(**m) for n, m in fields.pop("after").items()}
        return cls(
            policy=Policy(**fields.pop("policy"), epochs=max(after)),
            initial=_measured(**fields.pop("initial")),
            after=after,
            **fields,
        )


def _measured(**fields: Any) -> Measured:
    losses = tuple(math.nan if v is None else v for v in fields.pop("losses"))
    return Measured(losses, tuple(fields.pop("correct")), **fields)


class RecordFile:
    """The records of a tuning, on disk; survives being killed at any instant."""

    def __init__(self, path: pathlib.Path) -> None:
        """Reads what is there; a line that was cut short is dropped.

        Raises:
            RunError: the file cannot be read or written.
        """
        self.path = path
        self._known: dict[tuple[Any, ...], ClientRecord] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a+", encoding="utf-8")
            self._file.seek(0)
            whole = self._read()
            self._file.truncate(whole)
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self) -> int:
        """Bytes up to the end of the last whole line."""
        whole = 0
        for line in self._file:
            if not line.endswith("\n"):
                break
            whole += len(line.encode())
            try:
                self._remember(ClientRecord.from_json(line))
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # Damaged: that client adapts once more.
        return whole

    def _remember(self, record: ClientRecord) -> None:
        known = self._known.get(record.key)
        after = {**(known.after if known else {}), **record.after}
        self._known[record.key] = dataclasses.replace(record, after=after)

    def add(self, record: ClientRecord) -> None:
        """Remembers a record, also beyond the end of this process.

        Raises:
            RunError: it cannot be written.
        """
        try:
            self._file.write(record.to_json() + "\n")
            self._file.flush()
        except OSError as error:
            raise self._unusable(error) from error
        self._remember(record)

    def get(self, policy: Policy, client: str) -> ClientRecord | None:
        """The record of an adaptation of a client, whatever epochs it holds."""
        return self._known.get((*adaptation_key(policy), client))

    def __iter__(self) -> Iterator[ClientRecord]:
        """All records."""
        return iter(self._known.values())

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _unusable(self, error: OSError) -> RunError:
        return RunError(
            f"{self.path} cannot be written ({error.strerror or error}): make room "
            "there, or tune a copy of the run that you may write to"
        )
