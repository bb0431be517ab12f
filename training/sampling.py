"""Which clients train in a round, and the seeds they use: a function of (seed, round).

Nothing is drawn from a running generator, so a resumed run repeats the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Participant(NamedTuple):
    """A client of a round.

    Attributes:
        client: its name.
        seed: of its shuffling and dropout, int32 [2].
    """

    client: str
    seed: np.ndarray


def sample_clients(
    clients: Sequence[str], count: int, seed: int, round_number: int
) -> list[Participant]:
    """Draws a round's clients uniformly, without replacement.

    Args:
        clients: names of the training clients.
        count: M, at most as many as there are.
        seed: of the run.
        round_number: counted from 1 over all stages.
    """
    random = np.random.default_rng([seed, round_number])
    chosen = random.choice(len(clients), count, replace=False)
    seeds = random.integers(0, 2**31, (count, 2)).astype(np.int32)
    return [Participant(clients[i], s) for i, s in zip(chosen, seeds, strict=True)]
