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
from fedp.device_runtime.evidence import Candidate, Evidence, Score
from fedp.device_runtime.guards import candidates_of
from fedp.training.tuning.grid import adaptation_key


@dataclasses.dataclass(frozen=True)
class Measured:
    """A model of one client at one time.

    Attributes:
        losses: log loss of each judged example; NaN where it is not finite.
        correct: share of each judged example's labels that are hit, 0..1.
        accuracy: on the test part, which the device never sees, 0..1; where a model was
            adapted, of the one that was adapted on all examples.
        finite: whether that one's training losses and weights were finite numbers.
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
        policy: the adaptation's; of its guard, the trials alone mean something.
        client: its name.
        examples: how many it adapted on.
        distinct: number of distinct labels among them.
        tested: how many the test part has.
        lasted: local epochs for which the trials' losses were finite numbers.
        initial: the initial model.
        after: what the guard may choose from.
    """

    policy: Policy
    client: str
    examples: int
    distinct: int
    tested: int
    lasted: int
    initial: Measured
    after: dict[Candidate, Measured]

    @property
    def key(self) -> tuple[Any, ...]:
        """Of the adaptation and the client."""
        return (*adaptation_key(self.policy), self.client)

    def evidence(self, policy: Policy) -> Evidence:
        """What this policy's guard would have seen."""
        candidates = candidates_of(policy) if self.initial.losses else ()
        return Evidence(
            self.initial.score,
            {c: self.after[c].score for c in candidates},
            self.examples,
            self.distinct,
            self.lasted >= policy.epochs,
        )

    def to_json(self) -> str:
        """One line."""
        fields = dataclasses.asdict(self)
        after = [{**c._asdict(), **fields["after"][c]} for c in self.after]
        for measured in (fields["initial"], *after):
            for name in ("losses", "correct"):
                measured[name] = _numbers(measured[name])
        fields["after"] = after
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> ClientRecord:
        """Reads what `to_json` gave; ValueError, TypeError or KeyError if damaged."""
        fields = json.loads(line)
        after = {
            Candidate(m.pop("epochs"), m.pop("blend")): _measured(**m)
            for m in fields.pop("after")
        }
        return cls(
            policy=Policy(**fields.pop("policy")),
            initial=_measured(**fields.pop("initial")),
            after=after,
            **fields,
        )


def _numbers(values: tuple[float, ...]) -> list[float | None]:
    return [v if math.isfinite(v) else None for v in values]


def _measured(**fields: Any) -> Measured:
    losses, correct = (
        tuple(math.nan if v is None else v for v in fields.pop(name))
        for name in ("losses", "correct")
    )
    return Measured(losses, correct, **fields)


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
        """The record of an adaptation of a client, whatever it was looked at for."""
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
