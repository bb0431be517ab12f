"""What a Ray worker does: it trains a shard of a round's clients and adds them up.

Neither Ray nor TFF is imported, so a worker starts fast and stays small.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.errors import FedpError
from fedp.training.configuration import TrainingConfig
from fedp.training.data.federated import FederatedData
from fedp.training.engines.map_reduce import MapReduce, RoundFunctions
from fedp.training.engines.reading import CLIENT_FAILURES, in_a_line
from fedp.training.graph_function import CALL_FAILURES, Arrays, Started
from fedp.training.loading import open_training_data, read_client
from fedp.training.sampling import Participant


class ShardResult(NamedTuple):
    """What a shard leaves.

    Attributes:
        total: of its clients' updates.
        failed: client that was left out -> why, in a line.
    """

    total: Arrays
    failed: Mapping[str, str]


def train_shard(
    functions: RoundFunctions,
    config: TrainingConfig,
    fingerprint: str,
    prepared: Sequence[np.ndarray],
    shard: Sequence[Participant],
) -> ShardResult:
    """Reads, trains and adds up clients, one after the other.

    Args:
        functions: the stage's; started once a process.
        config: of the run; its data set is opened once a process.
        fingerprint: of the driver's data set; a stale copy must not be trained on.
        prepared: what every client gets.
        shard: the clients.

    Raises:
        FedpError: the data set cannot be opened here.
    """
    server, work = _started(functions)
    data = _opened(config, fingerprint)
    failed: dict[str, str] = {}

    def updates() -> Iterator[Arrays]:
        for participant in shard:
            try:
                update = work([*read_client(data, config, participant), *prepared])
            except (*CLIENT_FAILURES, *CALL_FAILURES) as error:
                failed[participant.client] = in_a_line(error)
            else:
                yield update

    return ShardResult(server.total(updates()), failed)


# Both caches hold the newest only: a worker process serves one run, stage by stage.


@functools.lru_cache(maxsize=1)
def _started(
    functions: RoundFunctions,
) -> tuple[MapReduce, Callable[[Sequence[np.ndarray]], Arrays]]:
    """The cache's key is the content of the functions: each task gets its own copy."""
    return MapReduce(functions), Started(functions.work)


@functools.lru_cache(maxsize=1)
def _opened(config: TrainingConfig, fingerprint: str) -> FederatedData:
    try:
        data = open_training_data(config)
        if data.fingerprint != fingerprint:
            raise FedpError("other clients or counts than on the driver")
        return data
    except (FedpError, OSError) as error:
        raise FedpError(
            f"node {socket.gethostname()} of the Ray cluster cannot open the data "
            f"({' '.join(str(error).split())}): every node has to find the same data "
            "at the same path"
        ) from error
