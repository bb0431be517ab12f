"""Evaluates the clients that are left, on this machine or on a Ray cluster."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Generator, Iterator, Sequence

from fedp.device_runtime.errors import FedpError
from fedp.training.evaluation import workers
from fedp.training.evaluation.clients import ClientJob
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.unfinished import Unfinished
from fedp.training.evaluation.workers import OnResult

ENGINES = ("local", "ray")

# Evaluates clients: yields a client's number and its result, in any order.
Arriving = Callable[
    [ClientJob, Sequence[str]], Generator[tuple[int, ClientResult], None, None]
]


@contextlib.contextmanager
def open_workers(
    engine: str, processes: int, ray_address: str | None, log: pathlib.Path
) -> Iterator[Arriving]:
    """Makes ready whatever evaluates clients; it ends with the context.

    Args:
        engine: one of ENGINES.
        processes: of this machine, for the engine "local".
        ray_address: HOST:PORT of a cluster's head, for the engine "ray"; None starts
            one for this process alone.
        log: file that gets what the workers of a cluster started here have printed.

    Raises:
        FedpError: no such engine, or the cluster cannot be used.
    """
    if engine not in ENGINES:
        raise FedpError(
            f"evaluation engine {engine!r} is none; allowed are {', '.join(ENGINES)}"
        )
    if engine == "local":
        yield lambda job, clients: workers.arriving(processes, job, clients)
        return
    from fedp.training.engines.ray_cluster import connected

    with connected(ray_address, log):
        from fedp.training.evaluation import ray_workers

        yield ray_workers.arriving


def complete(
    unfinished: Unfinished,
    clients: Sequence[str],
    job: ClientJob,
    arriving: Arriving,
    on_result: OnResult[ClientResult] | None,
) -> None:
    """Evaluates those that are not done; a result is on disk when it is told of."""
    left = [client for client in clients if client not in unfinished]
    done = len(clients) - len(left)
    with contextlib.closing(arriving(job, left)) as results:
        for _, result in results:
            unfinished.add(result)
            done += 1
            if on_result:
                on_result(done, len(clients), result)
