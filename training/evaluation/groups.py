"""Clients in groups: by how much data they have, and in tenths by initial accuracy."""

from __future__ import annotations

import dataclasses

import numpy as np

from fedp.training.evaluation.columns import Columns, lost
from fedp.training.evaluation.intervals import Mean, Share, mean, share

# Lower ends of the data-size bands, in examples given to the device.
BAND_STARTS = (0, 10, 30, 100, 300)


@dataclasses.dataclass(frozen=True)
class Group:
    """Some clients.

    Attributes:
        lowest: where the group begins: fewest examples given to the device, or lowest
            initial accuracy.
        highest: the most of it, or None for no limit.
        clients: how many clients are in it, at least 1.
        initial: mean accuracy of the initial model.
        personalized_gain: mean of personalized - initial.
        deployed_gain: mean of deployed - initial.
        hurt_before_guard: clients with personalized < initial.
        hurt_after_guard: clients with deployed < initial.
    """

    lowest: float
    highest: float | None
    clients: int
    initial: Mean
    personalized_gain: Mean
    deployed_gain: Mean
    hurt_before_guard: Share
    hurt_after_guard: Share


def bands(clients: Columns) -> tuple[Group, ...]:
    """By examples given to the device, smallest first, empty ones left out."""
    found = []
    for lowest, beyond in zip(BAND_STARTS, (*BAND_STARTS[1:], None), strict=True):
        inside = clients.examples >= lowest
        if beyond is not None:
            inside &= clients.examples < beyond
        if inside.any():
            highest = None if beyond is None else beyond - 1
            found.append(_group(lowest, highest, clients.of(inside)))
    return tuple(found)


def tenths(clients: Columns) -> tuple[Group, ...]:
    """Groups of one size by initial accuracy, worst first; fewer of fewer than ten."""
    order = np.argsort(clients.initial, kind="stable")
    parts = np.array_split(order, min(10, len(order)))
    return tuple(
        _group(some.initial.min().item(), some.initial.max().item(), some)
        for some in (clients.of(part) for part in parts)
    )


def _group(lowest: float, highest: float | None, clients: Columns) -> Group:
    count = len(clients)
    return Group(
        lowest=lowest,
        highest=highest,
        clients=count,
        initial=mean(clients.initial),
        personalized_gain=mean(clients.personalized_gain),
        deployed_gain=mean(clients.deployed_gain),
        hurt_before_guard=share(lost(clients.personalized_gain), count),
        hurt_after_guard=share(lost(clients.deployed_gain), count),
    )
