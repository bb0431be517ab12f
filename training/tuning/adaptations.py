"""Validation clients through the device's adaptation, with all that a guard may ask.

The same steps as `Personalizer.personalize`, in its own functions, measured after every
number of epochs in the grid; the guard decides later, as often as there are settings.
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
from fedp.device_runtime.contract import Manifest, Policy
from fedp.device_runtime.examples import examples_for
from fedp.device_runtime.personalizer import split_hold_out
from fedp.device_runtime.session import Session
from fedp.device_runtime.weights import all_finite
from fedp.training.data import Examples, open_data, split_examples
from fedp.training.tuning.records import ClientRecord, Measured


class Task(NamedTuple):
    """One adaptation of one client.

    Attributes:
        policy: what trains, at which rate, for how many epochs, with which hold-out.
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
        seed: of splits, hold-outs and adaptations.
        epochs: after how many local epochs to measure.
    """

    artifacts: Mapping[str, pathlib.Path]
    data_spec: str
    data_seed: int
    max_examples: int | None
    interpreter: str | None
    seed: int
    epochs: tuple[int, ...]

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
                    task, support, query, manifest, session, self.epochs, self.seed
                )

            yield adapt_one


def adapt_client(
    task: Task,
    support: Examples,
    query: Examples,
    manifest: Manifest,
    session: Session,
    epochs: tuple[int, ...],
    seed: int,
) -> ClientRecord:
    """Adapts a fresh session and measures it on the way.

    Args:
        task: what to do.
        support: what the device gets.
        query: what it never sees; at least one example.
        manifest: of the artifact.
        session: the initial model; afterwards the adapted one.
        epochs: after how many local epochs to measure.
        seed: of the hold-out and of the order of examples.

    Raises:
        DataError: the examples do not fit the model.
    """
    x, y = examples_for(*support, manifest)
    held, rest = split_hold_out(len(x), task.policy.hold_out, seed)
    x = session.features(x)
    unseen_x, unseen_y = examples_for(*query, manifest)
    unseen_x = session.features(unseen_x)

    def measure(finite: bool) -> Measured:
        losses, correct = session.evaluate(x[held], y[held])
        hits = session.evaluate(unseen_x, unseen_y)[1]
        accuracy = float(hits.mean(dtype=np.float64))
        return Measured(
            tuple(losses.tolist()), tuple(correct.tolist()), accuracy, finite
        )

    initial = measure(True)
    after: dict[int, Measured] = {}

    def look(epoch: int, loss: float, _session: Session) -> None:
        if not math.isfinite(loss):
            # Nothing trains on from here: whoever has no guard is left with this.
            lost = measure(False)
            after.update({later: lost for later in epochs if later >= epoch})
        elif epoch in epochs:
            after[epoch] = measure(all_finite(session.save()))

    adapt(
        session,
        x[rest],
        y[rest],
        task.policy,
        batch_size=manifest.batch_size,
        seed=seed,
        on_epoch=look,
    )
    return ClientRecord(
        policy=task.policy,
        client=task.client,
        examples=len(rest),
        tested=len(unseen_y),
        initial=initial,
        after=after,
    )
