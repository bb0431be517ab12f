"""Evidence of clients that no model was trained on, recorded once for all guards.

A record holds what any guard may ask for: every example's loss and correctness under
models that did not train on it, and which test examples each candidate then hits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fedp.device_runtime.adaptation import adapt
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate, Evidence, Score, folds
from fedp.device_runtime.examples import examples_for
from fedp.device_runtime.session import Session
from fedp.device_runtime.weights import Weights, blended
from fedp.training.data import open_data
from fedp.training.data.seeds import client_generator

BLENDS = (0.25, 0.5, 0.75, 1.0)


class Band(NamedTuple):
    """Clients of about the same size; half of the images adapt, half test.

    Attributes:
        name: as tables say it.
        least: images that a client must have.
        adapt: how many of them adapt; None for half of all.
        draws: how often a client takes part, each time with other images.
    """

    name: str
    least: int
    adapt: int | None
    draws: int


# Larger clients, cut down, speak for the small ones too. They are tested on more than
# half of 20 or 60: on several sets of that size, each of which counts as a client.
BANDS = (Band("20", 20, 10, 2), Band("60", 60, 30, 2), Band("80-400", 80, None, 2))
_TEST_SETS = {"20": 6, "60": 2, "80-400": 1}


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """One client, cut to a band's size.

    Attributes:
        client: its name.
        band: name of the band.
        draw: number of the draw.
        labels: of the images to adapt on, int32 [n].
        fold: of each, int64 [n]; -1 where there is no evidence.
        epochs: stops at which the models were looked at, [e].
        initial: log losses and hits of the initial model, float32 [2, n].
        judged: the same of models that did not train on them, float32 [e, b, 2, n].
        before: hits of the initial model on test sets, float32 [sets, size].
        after: of the final models, float32 [e, b, sets, size].
    """

    client: str
    band: str
    draw: int
    labels: np.ndarray
    fold: np.ndarray
    epochs: np.ndarray
    initial: np.ndarray
    judged: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def evidence(self, candidates: tuple[Candidate, ...], trials: int) -> Evidence:
        """What a guard sees that asks for these candidates in the first folds."""
        seen = np.flatnonzero(self.fold < trials)
        return Evidence(
            Score(*self.initial[:, seen]),
            {c: Score(*self.judged[self._at(c)][:, seen]) for c in candidates},
            len(self.labels),
            len(np.unique(self.labels)),
        )

    def deployed(self, epochs: int, blend: float) -> np.ndarray:
        """Accuracy on each test set, [sets]."""
        if blend == 0:
            return np.asarray(self.before.mean(-1))
        return np.asarray(self.after[self._at(Candidate(epochs, blend))].mean(-1))

    def _at(self, candidate: Candidate) -> tuple[int, int]:
        epochs, blend = candidate
        return self.epochs.tolist().index(epochs), BLENDS.index(blend)


@dataclasses.dataclass(frozen=True)
class EvidenceJob:
    """What a worker process needs to record clients.

    Attributes:
        artifact: path of the exported file; its policy says how to adapt.
        data: the data set, as `open_data` takes it.
        most: most examples a client.
        draws: most draws of a client in a band.
        folds: of the cross-validation; 0 leaves the evidence out.
        cache: directory of the records, one file a client.
    """

    artifact: pathlib.Path
    data: str
    most: int
    draws: int
    folds: int
    cache: pathlib.Path

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[str], str]]:
        """Opens data and artifact once for all clients of a process."""
        manifest, content = read_artifact(self.artifact)
        session = Session.open(manifest, content)
        seed = int(manifest.provenance.get("seed", 0))
        opened = open_data(self.data, max_examples=self.most, seed=seed)
        with contextlib.closing(opened) as data:

            def record(client: str) -> str:
                examples = data.load(client)
                x, y = examples_for(examples.x, examples.y, manifest)
                features = session.features(x)
                records = [
                    _record(session, client, band, features, y, draw, self.folds)
                    for band in BANDS
                    if len(y) >= band.least
                    for draw in range(min(band.draws, self.draws))
                ]
                save(path_of(self.cache, client), records)
                return client

            yield record


def stops_of(policy: Policy) -> tuple[int, ...]:
    """Epochs at which a model is looked at: half-way, and at the end."""
    return tuple(sorted({(policy.epochs + 1) // 2, policy.epochs}))


def _record(
    session: Session,
    client: str,
    band: Band,
    x: np.ndarray,
    y: np.ndarray,
    draw: int,
    count: int,
) -> Record:
    random = client_generator(f"guards {band.name}", draw, client)
    order = random.permutation(len(y))
    size = band.adapt or len(y) // 2
    own, unseen = order[:size], order[size:]
    test_size = band.adapt or len(unseen)
    sets = min(_TEST_SETS[band.name], len(unseen) // test_size)
    unseen = unseen[: sets * test_size]
    fold = folds(y[own], min(count, size), draw) if count else np.full(size, -1)
    session.reset()
    theta = session.save()
    initial = np.stack(session.evaluate(x[own], y[own]))
    before = session.evaluate(x[unseen], y[unseen])[1]
    stops = stops_of(session.manifest.policy)
    judged = np.zeros((len(stops), len(BLENDS), 2, size), np.float32)
    for k in range(fold.max() + 1):
        rest, held = own[fold != k], own[fold == k]
        for at, weights in enumerate(_fit(session, x[rest], y[rest], draw)):
            for b, blend in enumerate(BLENDS):
                session.restore(blended(theta, weights, blend))
                judged[at, b][:, fold == k] = session.evaluate(x[held], y[held])
    after = np.zeros((len(stops), len(BLENDS), len(unseen)), np.float32)
    for at, weights in enumerate(_fit(session, x[own], y[own], draw)):
        for b, blend in enumerate(BLENDS):
            session.restore(blended(theta, weights, blend))
            after[at, b] = session.evaluate(x[unseen], y[unseen])[1]
    shape = (sets, test_size)
    return Record(
        client, band.name, draw, y[own], fold, np.array(stops), initial, judged,
        before.reshape(shape), after.reshape(*after.shape[:2], *shape),
    )  # fmt: skip


def _fit(session: Session, x: np.ndarray, y: np.ndarray, seed: int) -> list[Weights]:
    """The adapted weights at each stop, from the initial model."""
    session.reset()
    found: list[Weights] = []
    manifest = session.manifest
    stops = stops_of(manifest.policy)

    def look(epoch: int, _loss: float, adapted: Session) -> None:
        if epoch in stops:
            found.append(adapted.save())

    size = manifest.batch_size
    adapt(session, x, y, manifest.policy, batch_size=size, seed=seed, on_epoch=look)
    if len(found) < len(stops):
        raise SystemExit("an adaptation did not stay finite: lower the learning rate")
    return found


def path_of(cache: pathlib.Path, client: str) -> pathlib.Path:
    """Where a client's records are kept."""
    return cache / f"{client.encode().hex()}.npz"


def save(path: pathlib.Path, records: list[Record]) -> None:
    """Writes a client's records, whole or not at all."""
    arrays = {
        f"{at}/{name}": value
        for at, record in enumerate(records)
        for name, value in vars(record).items()
    }
    part = path.with_suffix(f".{os.getpid()}.part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(path)


def load(path: pathlib.Path) -> list[Record]:
    """Reads what `save` wrote."""
    with np.load(path) as file:
        found: dict[str, dict[str, Any]] = {}
        for key in file.files:
            at, name = key.split("/")
            value = file[key]
            found.setdefault(at, {})[name] = value if value.ndim else value.item()
    return [Record(**fields) for fields in found.values()]
