"""The engine for several machines: Ray tasks train shards, the driver merges them.

Shards are cut by the configuration and merged in their order, whatever the cluster and
whichever nodes it loses: so the model does not depend on it, to the last bit.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import ray
from ray import exceptions

from fedp.training.configuration import TrainingConfig
from fedp.training.engines.contract import RoundResult, ServerState
from fedp.training.engines.map_reduce import MapReduce, RoundFunctions
from fedp.training.engines.ray_errors import LOST, mendable
from fedp.training.engines.ray_task import ShardResult, train_shard
from fedp.training.engines.reading import in_a_line
from fedp.training.loading import open_training_data
from fedp.training.sampling import Participant

_SHARDS = 16  # of a round, unless the configuration says how large one is
_RETRIES = 5  # of a shard whose worker or node is lost
_AHEAD = 4  # shards handed out a core, for the memory of the object stores

Shard = Sequence[Participant]


class RayEngine:
    """A `StageEngine` on the Ray cluster that this process is connected to."""

    def __init__(self, functions: RoundFunctions, config: TrainingConfig) -> None:
        """Puts the stage's functions where every worker finds them.

        Args:
            functions: the stage's.
            config: says where workers read clients, and how many a task takes.
        """
        self._config = config
        with contextlib.closing(open_training_data(config)) as data:
            self._fingerprint = data.fingerprint
        self._server = MapReduce(functions)
        self._functions: Any = ray.put(functions)
        options = ray.remote(
            num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD"
        )
        self._train = options(train_shard)

    def initial(self, weights: Sequence[np.ndarray]) -> ServerState:
        """See `StageEngine`."""
        return self._server.initial(weights)

    def next(
        self,
        state: ServerState,
        participants: Sequence[Participant],
        upcoming: Sequence[Participant] = (),
    ) -> RoundResult:
        """See `StageEngine`; workers read their clients when they train them."""
        total = self._server.total()
        failed: dict[str, str] = {}
        shards = shards_of(participants, self._config.clients_per_task)
        for result in self._results(self._server.prepare(state), shards):
            if result.total:
                total = self._server.merge(total, result.total)
            failed.update(result.failed)
        state, sums = self._server.update(state, total)
        return RoundResult(state, sums, failed)

    def close(self) -> None:
        """See `StageEngine`."""
        self._functions = None
        self._server.close()

    def _results(
        self, prepared: Sequence[np.ndarray], shards: Sequence[Shard]
    ) -> Iterator[ShardResult]:
        """Yields the shards' results in order, none kept after it was taken."""
        theta = ray.put(prepared)
        waiting = iter(shards)
        under_way: collections.deque[tuple[Shard, ray.ObjectRef]] = collections.deque()
        cores = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        window = _AHEAD * max(1, int(cores))
        try:
            while True:
                for shard in itertools.islice(waiting, window - len(under_way)):
                    task = self._train.remote(
                        self._functions, self._config, self._fingerprint, theta, shard
                    )
                    under_way.append((shard, task))
                if not under_way:
                    return
                yield _result(*under_way.popleft())
        finally:
            for _, task in under_way:
                ray.cancel(task)


def shards_of(
    participants: Sequence[Participant], clients_per_task: int | None
) -> list[Shard]:
    """Cuts a round, always in the same way: what floats are added first is fixed.

    Args:
        participants: of the round.
        clients_per_task: the most in a shard; None for a sixteenth of the round.
    """
    size = clients_per_task or max(1, -(-len(participants) // _SHARDS))
    return [participants[at : at + size] for at in range(0, len(participants), size)]


def _result(shard: Shard, task: ray.ObjectRef) -> ShardResult:
    """Waits for a shard; one that is lost for good has no total, and failed clients."""
    try:
        result: ShardResult = ray.get(task)
        return result
    except LOST as error:
        why = (
            f"the Ray task that trained it was lost {_RETRIES + 1} times "
            f"({type(error).__name__}): {in_a_line(error)}"
        )
        return ShardResult([], {each.client: why for each in shard})
    except exceptions.RayError as error:
        raise mendable(error) from error
