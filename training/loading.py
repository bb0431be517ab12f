"""Clients' examples on their way from a data set into rounds and evaluations."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from fedp.training.configuration import TrainingConfig
from fedp.training.data.federated import Examples, FederatedData
from fedp.training.data.splits import split_examples
from fedp.training.evaluation_rounds import EvaluationClient
from fedp.training.federated import ClientData
from fedp.training.sampling import sample_clients

Loaded = TypeVar("Loaded")


def load_round(
    data: FederatedData,
    train_clients: Sequence[str],
    config: TrainingConfig,
    round_number: int,
) -> list[ClientData]:
    """Reads the examples of the clients that a round samples."""
    participants = sample_clients(
        train_clients, config.clients_per_round, config.seed, round_number
    )
    return [ClientData(*load_examples(data, name), seed) for name, seed in participants]


def load_examples(data: FederatedData, client: str) -> Examples:
    """Reads one client: x uint8 or float32, y int32."""
    x, y = data.load(client)
    return Examples(x if x.dtype == np.uint8 else x.astype(np.float32), y)


def evaluation_clients(
    data: FederatedData, names: Sequence[str], config: TrainingConfig
) -> list[EvaluationClient]:
    """Reads validation clients, at most `config.eval_clients`, drawn by the seed."""
    random = np.random.default_rng(config.split_seed)
    count = min(len(names), config.eval_clients)
    chosen = sorted(random.choice(len(names), count, replace=False))
    clients = []
    for name in (names[i] for i in chosen):
        examples = load_examples(data, name)
        support, query = split_examples(name, examples, config.split_seed)
        if len(query.y):
            seed = random.integers(0, 2**31, 2).astype(np.int32)
            clients.append(EvaluationClient(support, query, seed))
    return clients


def prefetched(
    load: Callable[[int], Loaded], rounds: Sequence[int]
) -> Iterator[tuple[int, Loaded]]:
    """Yields (round, load(round)), loading one round ahead in a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(load, rounds[0]) if rounds else None
        for at, number in enumerate(rounds):
            assert upcoming is not None
            loaded = upcoming.result()
            if at + 1 < len(rounds):
                upcoming = pool.submit(load, rounds[at + 1])
            yield number, loaded
