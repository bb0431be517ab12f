"""Clients of a data set, one after the other, on each of several processes."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import DataError
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.device_runtime.signing import PublicKey
from fedp.training.data import (
    Examples,
    FederatedData,
    open_data,
    split_examples,
)
from fedp.training.evaluation.one_client import evaluate_client
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
