"""One function over many inputs on several cores, results in their order."""

from __future__ import annotations

import collections
import concurrent.futures
import queue
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fedp.training.cores import cores
from fedp.training.graph_function import CALL_FAILURES, Arrays, GraphFunction, Started

_WAITING = 4  # results a thread may be ahead of the one that takes them, for memory


class SideBySide:
    """A graph function started once a thread, each with variables of its own."""

    def __init__(self, function: GraphFunction, threads: int | None = None) -> None:
        """Starts the threads.

        Args:
            function: run by all of them.
            threads: how many; one a core unless given.
        """
        self._threads = threads or cores()
        self._pool = concurrent.futures.ThreadPoolExecutor(self._threads, "fedp-client")
        self._started = [Started(function) for _ in range(self._threads)]
        self._idle: queue.SimpleQueue[Started] = queue.SimpleQueue()
        for each in self._started:
            self._idle.put(each)

    def map(
        self, inputs: Iterable[Sequence[np.ndarray]]
    ) -> Iterator[Arrays | Exception]:
        """Yields function(input) for each input, in order, or what it failed with."""
        under_way: collections.deque[concurrent.futures.Future[Arrays | Exception]]
        under_way = collections.deque()
        try:
            for each in inputs:
                under_way.append(self._pool.submit(self._call, each))
                if len(under_way) == _WAITING * self._threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def _call(self, arrays: Sequence[np.ndarray]) -> Arrays | Exception:
        function = self._idle.get()
        try:
            return function(arrays)
        except CALL_FAILURES as error:
            return error
        finally:
            self._idle.put(function)

    def close(self) -> None:
        """Ends the threads; harmless when repeated."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for each in self._started:
            each.close()
