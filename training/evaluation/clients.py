"""One client through the real device path: adapt, guard, deploy; then the test part.

The device gets the client's support part and never sees the query part, on which all
accuracies are measured (arXiv 1909.12488, section 4).
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from fedp.device_runtime.adaptation import adapt
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import DataError
from fedp.device_runtime.examples import examples_for
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.device_runtime.signing import PublicKey
from fedp.training.data import (
    Examples,
    FederatedData,
    open_data,
    split_examples,
)
from fedp.training.evaluation.calibration import bins_of
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.workers import OnResult, evaluate_on


def evaluate_clients(
    artifact: pathlib.Path,
    data_spec: str,
    clients: list[str],
    *,
    interpreter: str | None = None,
    seed: int = 0,
    data_seed: int = 0,
    max_examples: int | None = None,
    processes: int = 2,
    public_key: PublicKey | None = None,
    on_result: OnResult[ClientResult] | None = None,
) -> list[ClientResult]:
    """Evaluates each client in a fresh state, on several processes.

    The results do not depend on the number of processes.

    Args:
        artifact: the file that `fedp export` wrote.
        data_spec: the data set, as `open_data` takes it.
        clients: names of the data set's clients.
        interpreter: "ai_edge_litert" or "tflite_runtime"; by default the fastest one.
        seed: of the clients' splits, the guard's trials and the adaptations.
        data_seed: the one the data were opened with in training.
        max_examples: most examples a client; None for all.
        processes: workers with one interpreter thread each; 1 works in this process.
        public_key: of whoever must have signed the artifact; None takes any.
        on_result: told of each result as it comes, in any order.

    Returns:
        One result a client, in the order of `clients`.

    Raises:
        FedpError: the artifact, the data or a client cannot be used, or a worker died.
    """
    job = ClientJob(
        artifact, data_spec, interpreter, seed, data_seed, max_examples, public_key
    )
    return evaluate_on(processes, job, clients, on_result)


@dataclasses.dataclass(frozen=True)
class ClientJob:
    """What a worker process needs to evaluate clients.

    Attributes:
        artifact: path of the exported file.
        data_spec: the data set, as `open_data` takes it.
        interpreter: kind of interpreter; None for the fastest one installed.
        seed: of splits, trials and adaptations.
        data_seed: of the data.
        max_examples: most examples a client; None for all.
        public_key: of whoever must have signed the artifact; None takes any.
        fingerprint: that the data must have; None takes any.
        sha256: that the artifact must have; None takes any.
    """

    artifact: pathlib.Path
    data_spec: str
    interpreter: str | None
    seed: int
    data_seed: int
    max_examples: int | None
    public_key: PublicKey | None = None
    fingerprint: str | None = None
    sha256: str | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[str], ClientResult]]:
        """Opens data and artifact once for all clients of a process."""
        with self.opened() as opened:
            yield opened.evaluate

    @contextlib.contextmanager
    def opened(self) -> Iterator[Opened]:
        """The same, for whoever wants more than a client's result.

        Raises:
            FedpError: data or artifact cannot be used, or are others by now.
        """
        opened = open_data(
            self.data_spec, max_examples=self.max_examples, seed=self.data_seed
        )
        read = read_artifact(self.artifact, self.public_key)
        with (
            contextlib.closing(opened) as data,
            Personalizer.open(
                self.artifact, interpreter=self.interpreter, public_key=self.public_key
            ) as device,
        ):
            self._check("data", self.data_spec, self.fingerprint, data.fingerprint)
            self._check("artifact", self.artifact, self.sha256, read[0].sha256)
            yield Opened(data, device, read, self.interpreter, self.seed)

    def _check(self, what: str, name: object, wanted: str | None, found: str) -> None:
        if wanted not in (None, found):
            raise DataError(
                f"{what} {name} is another one here than where the evaluation began: "
                "give every process the same file, and leave it while one is at work"
            )


@dataclasses.dataclass(frozen=True)
class Opened:
    """Data and artifact of a `ClientJob`, open.

    Attributes:
        data: the data set.
        device: personalizes one client after the other.
        read: manifest and content of the artifact.
        interpreter: kind of interpreter; None for the fastest one installed.
        seed: of splits, trials and adaptations.
    """

    data: FederatedData
    device: Personalizer
    read: tuple[Manifest, bytes]
    interpreter: str | None
    seed: int

    def evaluate(self, client: str) -> ClientResult:
        """See `evaluate_client`."""
        support, query = self.parts(client)
        return evaluate_client(
            client, support, query, self.device, self.session(), self.seed
        )

    def parts(self, client: str) -> tuple[Examples, Examples]:
        """What the device gets of a client's examples, and what it never sees."""
        return split_examples(
            client,
            self.data.load(client),
            self.seed,
            test=0.5,
            train_count=self.data.train_count(client),
        )

    def session(self) -> Session:
        """A fresh one, as on a device: random layers start anew."""
        return Session.open(*self.read, self.interpreter)


def evaluate_client(
    client: str,
    support: Examples,
    query: Examples,
    device: Personalizer,
    session: Session,
    seed: int,
) -> ClientResult:
    """Personalizes a device that starts afresh and measures it on the query part.

    Args:
        client: its name.
        support: what the device gets.
        query: what it never sees; at least one example.
        device: reset before anything else.
        session: a fresh one of the same artifact, for what no guard would look at.
        seed: of the guard's trials and of the order of examples.

    Raises:
        DataError: the examples do not fit the model.
    """
    device.reset()
    before = device.predict(query.x)
    outcome = device.personalize(support.x, support.y, seed=seed)
    after = device.predict(query.x)
    initial = _accuracy(before, query.y)
    curve = [initial, *adapt_and_measure(support, query, session, seed)]
    return ClientResult(
        client=client,
        adapt_examples=len(support.y),
        test_examples=len(query.y),
        initial=initial,
        personalized=curve[-1],
        deployed=_accuracy(after, query.y),
        kept=outcome.decision == "keep",
        reason=outcome.reason,
        curve=tuple(curve),
        initial_bins=bins_of(before, query.y),
        deployed_bins=bins_of(after, query.y),
    )


def adapt_and_measure(
    support: Examples, query: Examples, session: Session, seed: int
) -> list[float]:
    """Adapts to all of a client's support examples, whatever a guard would say.

    Returns:
        Accuracy on the query part after each local epoch.
    """
    manifest = session.manifest
    x, y = examples_for(*support, manifest)
    unseen, wanted = examples_for(*query, manifest)
    unseen = session.features(unseen)
    found = []

    def measure(_epoch: int, _loss: float, _session: Session) -> None:
        found.append(float(session.evaluate(unseen, wanted)[1].mean(dtype=np.float64)))

    adapt(
        session,
        session.features(x),
        y,
        manifest.policy,
        batch_size=manifest.batch_size,
        seed=seed,
        on_epoch=measure,
    )
    return found


def _accuracy(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Mean over examples of the share of labels that are hit; -1 is no label."""
    hits = (probabilities.argmax(axis=-1) == y).reshape(len(y), -1)
    labelled = (y >= 0).reshape(len(y), -1)
    return float(np.mean(hits.sum(axis=1) / np.maximum(labelled.sum(axis=1), 1)))
