"""Which clients train in a round, and the seeds they use: a function of (seed, round).

Nothing is drawn from a running generator, so a resumed run repeats the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fedp.training.data.federated import FederatedData
from fedp.training.data.splits import ClientSplit


class Participant(NamedTuple):
    """A client of a round.

    Attributes:
        client: its name.
        seed: of its shuffling and dropout, int32 [2].
    """

    client: str
    seed: np.ndarray


def sample_clients(
    data: FederatedData,
    split: ClientSplit,
    count: int,
    seed: Sequence[int],
    round_number: int,
    attempt: int = 0,
) -> list[Participant]:
    """Draws a round's training clients uniformly, without replacement.

    Takes constant time and memory, however many clients there are.

    Args:
        data: whose clients.
        split: says which of them train.
        count: M.
        seed: of the run, as numbers.
        round_number: counted from 1 over all stages.
        attempt: 0, or how often the round has been repeated with other clients.

    Raises:
        DataError: there are fewer training clients than M.
    """
    random = np.random.default_rng([*seed, round_number, attempt])
    chosen = split.sample(
        data.clients(),
        "train",
        count,
        random,
        lambda name: has_training_part(data, name),
    )
    return _with_seeds(chosen, random)


def all_clients(
    data: FederatedData, split: ClientSplit, seed: Sequence[int], round_number: int
) -> list[Participant]:
    """All training clients, in a random order: an epoch of centralized training."""
    random = np.random.default_rng([*seed, round_number, 0])
    chosen = list(training_clients(data, split))
    return _with_seeds([chosen[i] for i in random.permutation(len(chosen))], random)


def training_clients(data: FederatedData, split: ClientSplit) -> Iterator[str]:
    """Names of all clients that rounds draw from, one at a time."""
    names = split.iterate(data.clients(), "train")
    return (name for name in names if has_training_part(data, name))


def has_training_part(data: FederatedData, client: str) -> bool:
    """False where a data set says that all of a client's examples are for testing."""
    return data.train_count(client) != 0


def _with_seeds(
    clients: Sequence[str], random: np.random.Generator
) -> list[Participant]:
    seeds = random.integers(0, 2**31, (len(clients), 2)).astype(np.int32)
    return [Participant(c, s) for c, s in zip(clients, seeds, strict=True)]
