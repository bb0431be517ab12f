"""The default engine: clients train side by side in this process, one core each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fedp.training.engines.contract import (
    ClientData,
    ReadClient,
    RoundResult,
    ServerState,
)
from fedp.training.engines.map_reduce import MapReduce, RoundFunctions
from fedp.training.engines.reading import Reader, in_a_line
from fedp.training.graph_function import Arrays
from fedp.training.sampling import Participant
from fedp.training.side_by_side import SideBySide


class LocalEngine:
    """A `StageEngine` on TensorFlow threads."""

    def __init__(
        self, functions: RoundFunctions, read: ReadClient, threads: int | None = None
    ) -> None:
        """Starts the threads.

        Args:
            functions: the stage's.
            read: reads one client.
            threads: clients that train at a time; one a core unless given.
        """
        self._server = MapReduce(functions)
        self._reader = Reader(read)
        self._clients = SideBySide(functions.work, threads)

    def initial(self, weights: Sequence[np.ndarray]) -> ServerState:
        """See `StageEngine`."""
        return self._server.initial(weights)

    def next(
        self,
        state: ServerState,
        participants: Sequence[Participant],
        upcoming: Sequence[Participant] = (),
    ) -> RoundResult:
        """See `StageEngine`."""
        clients, left_out = self._reader.clients(participants, upcoming)
        failed = dict(left_out)
        prepared = self._server.prepare(state)
        names = longest_first(clients)
        inputs = ([*clients[name], *prepared] for name in names)

        def updates() -> Iterator[Arrays]:
            for name, update in zip(names, self._clients.map(inputs), strict=True):
                if isinstance(update, Exception):
                    failed[name] = in_a_line(update)
                else:
                    yield update

        state, sums = self._server.update(state, self._server.total(updates()))
        return RoundResult(state, sums, failed)

    def close(self) -> None:
        """See `StageEngine`."""
        self._reader.close()
        self._clients.close()
        self._server.close()


def longest_first(clients: Mapping[str, ClientData]) -> list[str]:
    """An order that leaves cores idle for the shortest time at the end of a round."""
    return sorted(clients, key=lambda name: -len(clients[name].y))
