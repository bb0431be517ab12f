"""TFF's MapReduceForm of a round as plain functions, run without TFF.

    prepare(state) -> what clients get      work(client, prepared) -> update
    zero() -> total                         accumulate(total, update) -> total
    merge(total, total) -> total            report(total) -> what the server gets
    update(state, reported) -> state, sums

Every argument and result is a list of arrays: the leaves of its TFF type, in order.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fedp.training.engines.contract import RoundSums, ServerState
from fedp.training.graph_function import Arrays, GraphFunction, Started


class RoundFunctions(NamedTuple):
    """A stage's functions, ready to be pickled; see the module."""

    initialize: GraphFunction
    prepare: GraphFunction
    work: GraphFunction
    zero: GraphFunction
    accumulate: GraphFunction
    merge: GraphFunction
    report: GraphFunction
    update: GraphFunction


class MapReduce:
    """The functions in this process, all but `work`; started when first needed."""

    def __init__(self, functions: RoundFunctions) -> None:
        """Takes the functions of a stage."""
        self._functions = functions
        self._started: dict[str, Started] = {}

    def initial(self, weights: Sequence[np.ndarray]) -> ServerState:
        """Weights with a fresh optimizer and a fresh aggregator."""
        leaves = self._call("initialize")
        return [*(np.asarray(w, np.float32) for w in weights), *leaves[len(weights) :]]

    def prepare(self, state: ServerState) -> Arrays:
        """What every client gets."""
        return self._call("prepare", state)

    def total(self, updates: Iterable[Arrays] = ()) -> Arrays:
        """The clients' updates in one, folded in their order."""
        return functools.reduce(self.accumulate, updates, self._call("zero"))

    def accumulate(self, total: Arrays, update: Arrays) -> Arrays:
        """A total with one client's update more."""
        return self._call("accumulate", total, update)

    def merge(self, total: Arrays, other: Arrays) -> Arrays:
        """Two totals in one."""
        return self._call("merge", total, other)

    def update(
        self, state: ServerState, total: Arrays
    ) -> tuple[ServerState, RoundSums]:
        """The server's step."""
        leaves = self._call("update", state, self._call("report", total))
        return split_sums(leaves)

    def _call(self, name: str, *arguments: Sequence[np.ndarray]) -> Arrays:
        if name not in self._started:
            self._started[name] = Started(getattr(self._functions, name))
        return self._started[name]([leaf for each in arguments for leaf in each])

    def close(self) -> None:
        """Frees what was started; harmless when repeated."""
        for each in self._started.values():
            each.close()


def split_sums(leaves: Arrays) -> tuple[ServerState, RoundSums]:
    """A round's result: the state's leaves, then those of the sums."""
    count = len(RoundSums._fields)
    # The privacy accountant's leaf is text, which a session returns as bare bytes.
    leaves = [np.asarray(leaf) for leaf in leaves]
    examples, processed, loss_sum, steps, not_finite = leaves[-count:]
    sums = RoundSums(
        int(examples), int(processed), float(loss_sum), int(steps), int(not_finite)
    )
    return leaves[:-count], sums
