"""Validation clients through the device's adaptation, with all that a guard may ask.

The same steps as `Personalizer.personalize`, with every candidate of the grid in place
of the guard's; the guard decides later, as often as there are settings.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.adaptation import adapt
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate, Score
from fedp.device_runtime.examples import examples_for
from fedp.device_runtime.personalization import Personalization
from fedp.device_runtime.session import Session
from fedp.device_runtime.weights import all_finite, blended
from fedp.training.data import Examples, open_data, split_examples
from fedp.training.tuning.records import ClientRecord, Measured


class Task(NamedTuple):
    """One adaptation of one client.

    Attributes:
        policy: what trains, at which rate, for how many epochs, with which trials.
        client: its name.
    """

    policy: Policy
    client: str


@dataclasses.dataclass(frozen=True)
class AdaptationJob:
    """What a worker process needs to adapt clients.

    Attributes:
        artifacts: path of the exported file by what trains in it.
        data_spec: the data set, as `open_data` takes it.
        data_seed: of the data.
        max_examples: most examples a client; None for all.
        interpreter: kind of interpreter; None for the fastest one installed.
        seed: of splits, trials and adaptations.
        candidates: what to measure.
    """

    artifacts: Mapping[str, pathlib.Path]
    data_spec: str
    data_seed: int
    max_examples: int | None
    interpreter: str | None
    seed: int
    candidates: tuple[Candidate, ...]

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[Task], ClientRecord]]:
        """Opens data and artifacts once for all clients of a process."""
        opened = open_data(
            self.data_spec, max_examples=self.max_examples, seed=self.data_seed
        )
        read = functools.cache(read_artifact)
        with contextlib.closing(opened) as data:

            @functools.lru_cache(1)  # A client's tasks come one after the other.
            def parts(client: str) -> tuple[Examples, Examples]:
                return split_examples(
                    client,
                    data.load(client),
                    self.seed,
                    test=0.5,
                    train_count=data.train_count(client),
                )

            def adapt_one(task: Task) -> ClientRecord:
                manifest, content = read(self.artifacts[task.policy.trainable])
                # As on a device: random layers start anew with each interpreter.
                session = Session.open(manifest, content, self.interpreter)
                support, query = parts(task.client)
                return adapt_client(
                    task, support, query, session, self.candidates, self.seed
                )

            yield adapt_one


def adapt_client(
    task: Task,
    support: Examples,
    query: Examples,
    session: Session,
    candidates: tuple[Candidate, ...],
    seed: int,
) -> ClientRecord:
    """Adapts a fresh session and measures it on the way.

    Args:
        task: what to do.
        support: what the device gets.
        query: what it never sees; at least one example.
        session: the initial model; afterwards the adapted one.
        candidates: what to measure.
        seed: of the trials and of the order of examples.

    Raises:
        DataError: the examples do not fit the model.
    """
    x, y = examples_for(*support, session.manifest)
    unseen_x, unseen_y = examples_for(*query, session.manifest)
    x, unseen_x = session.features(x), session.features(unseen_x)

    def accuracy() -> float:
        return float(session.evaluate(unseen_x, unseen_y)[1].mean(dtype=np.float64))

    # What has no guard is left with what a broken adaptation left behind.
    start, theta = accuracy(), session.save()
    run = Personalization(session, x, y, task.policy, seed=seed, candidates=candidates)
    evidence = run.gather()
    assert evidence is not None  # Nothing limits it.
    nothing = Score(*np.zeros((2, 0), np.float32))
    after: dict[Candidate, Measured] = {}

    def measure(candidate: Candidate, finite: bool) -> None:
        score = evidence.candidates.get(candidate, nothing)
        after[candidate] = _measured(score, accuracy(), finite)

    def look(epoch: int, loss: float, _session: Session) -> None:
        if not math.isfinite(loss):
            for candidate in candidates:
                if candidate.epochs >= epoch:
                    measure(candidate, False)
            return
        chosen = [c for c in candidates if c.epochs == epoch]
        if not chosen:
            return
        adapted, slots = session.save(), session.save_slots()
        for candidate in chosen:
            session.restore(blended(theta, adapted, candidate.blend))
            measure(candidate, all_finite(adapted))
        session.restore(adapted)
        session.restore_slots(slots)

    session.reset()
    adapt(
        session,
        x,
        y,
        task.policy,
        batch_size=session.manifest.batch_size,
        seed=seed,
        on_epoch=look,
    )
    return ClientRecord(
        policy=task.policy,
        client=task.client,
        examples=len(x),
        distinct=evidence.distinct,
        tested=len(unseen_y),
        lasted=run.lasted,
        initial=_measured(evidence.initial, start, True),
        after=after,
    )


def _measured(score: Score, accuracy: float, finite: bool) -> Measured:
    losses, correct = (tuple(values.tolist()) for values in score)
    return Measured(losses, correct, accuracy, finite)
