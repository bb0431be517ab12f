"""Clients shared out to processes as evenly as whole clients can be."""

from __future__ import annotations

from collections.abc import Sequence


def shares(sizes: Sequence[int], processes: int) -> list[list[int]]:
    """Largest first, each to whoever has least (Graham's LPT rule).

    >>> shares([3, 1, 2, 2], 2)
    [[0, 1], [2, 3]]
    """
    parts: list[list[int]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for at in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        least = loads.index(min(loads))
        parts[least].append(at)
        loads[least] += sizes[at]
    return [sorted(part) for part in parts]


def busy_share(rounds: Sequence[Sequence[int]], processes: int) -> float:
    """Share of the time that processes work if all wait for the last in every round.

    >>> busy_share([[3, 1, 2, 2], [2, 1]], 2)
    0.9166666666666666
    """
    waited = 0
    for sizes in rounds:
        parts = shares(sizes, processes)
        waited += processes * max(sum(sizes[i] for i in part) for part in parts)
    return sum(map(sum, rounds)) / waited
