"""Clients' examples on their way from a data set into rounds and evaluations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fedp.training.configuration import TrainingConfig
from fedp.training.data.federated import Examples, FederatedData
from fedp.training.data.opening import open_data
from fedp.training.data.seeds import client_generator
from fedp.training.data.splits import split_examples
from fedp.training.engines.contract import ClientData, ClientType
from fedp.training.engines.reading import CLIENT_FAILURES
from fedp.training.evaluation_rounds import EvaluationClient
from fedp.training.sampling import Participant

_TAKEN_AS_THEY_ARE = (np.dtype(np.uint8), np.dtype(np.int32))


def open_training_data(config: TrainingConfig) -> FederatedData:
    """Opens a run's data set, in the process of the run or of one of its workers."""
    return open_data(
        config.data, max_examples=config.max_examples, seed=config.split_seed
    )


def read_client(
    data: FederatedData, config: TrainingConfig, participant: Participant
) -> ClientData:
    """Reads what a training client trains on: all it has but its own test part."""
    client = participant.client
    examples = load_examples(data, client)
    own = data.train_count(client)
    if own is not None:
        examples = Examples(examples.x[:own], examples.y[:own])
    elif config.client_test:
        examples, _ = split_examples(
            client, examples, config.split_seed, test=config.client_test
        )
    return ClientData(*examples, participant.seed)


def load_examples(data: FederatedData, client: str) -> Examples:
    """Reads one client: x uint8, int32 or float32, y int32."""
    x, y = data.load(client)
    return Examples(x if x.dtype in _TAKEN_AS_THEY_ARE else x.astype(np.float32), y)


def client_type(data: FederatedData, *clients: str) -> ClientType:
    """The type of a data set's examples, as the first readable of some clients shows.

    Raises:
        DataError: none of them can be read.
    """
    *others, last = clients
    for client in others:
        with contextlib.suppress(*CLIENT_FAILURES):
            return _type_of(data, client)
    return _type_of(data, last)


def _type_of(data: FederatedData, client: str) -> ClientType:
    x, _ = load_examples(data, client)
    return ClientType(x.dtype, tuple(x.shape[1:]), tuple(data.label_shape))


def evaluation_clients(
    data: FederatedData,
    names: Sequence[str],
    split_seed: int,
    client_test: float = 0.5,
    on_failure: Callable[[str, str], None] | None = None,
) -> Iterator[EvaluationClient]:
    """Reads clients for an evaluation, one after the other.

    Args:
        data: where they are read from.
        names: of the clients; one without anything to test on is left out.
        split_seed: of their examples into support and query part.
        client_test: share of the query part, where the data set does not say.
        on_failure: told of a client that cannot be read, and why; it is left out.
    """
    for name in names:
        try:
            examples = load_examples(data, name)
        except CLIENT_FAILURES as error:
            if on_failure is None:
                raise
            on_failure(name, " ".join(str(error).split()))
            continue
        support, query = split_examples(
            name,
            examples,
            split_seed,
            test=client_test,
            train_count=data.train_count(name),
        )
        if len(query.y):
            random = client_generator("adaptation", split_seed, name)
            seed = random.integers(0, 2**31, 2).astype(np.int32)
            yield EvaluationClient(support, query, seed)
