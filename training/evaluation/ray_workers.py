"""Client by client on a Ray cluster: a task each, with the results of one machine."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, cast

import ray

from fedp.device_runtime.errors import FedpError
from fedp.training.engines.ray_errors import LOST, mendable
from fedp.training.engines.reading import in_a_line
from fedp.training.evaluation.workers import Item, Job, Result

_RETRIES = 5  # of a client whose worker or node is lost
_AHEAD = 4  # clients handed out a core


def arriving(
    job: Job[Item, Result], clients: Sequence[Item]
) -> Generator[tuple[int, Result], None, None]:
    """Yields a client's number and its result as soon as it is known.

    The process is connected to a cluster. Closing this cancels what is under way.

    Raises:
        FedpError: a client's evaluation raised it, or was lost time after time.
    """
    options = ray.remote(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")
    evaluate = options(evaluate_one)
    cores = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
    waiting = iter(enumerate(clients))
    under_way: dict[ray.ObjectRef, int] = {}

    def hand_out() -> None:
        for number, client in waiting:
            under_way[evaluate.remote(job, client)] = number
            return

    try:
        for _ in range(_AHEAD * max(1, int(cores))):
            hand_out()
        while under_way:
            (done, *_), _ = ray.wait(list(under_way))
            number = under_way.pop(done)
            result = _result(done, clients[number])
            hand_out()
            yield number, result
    finally:
        for task in under_way:
            ray.cancel(task)


def _result(task: ray.ObjectRef, client: object) -> Any:
    try:
        return ray.get(task)
    except LOST as error:
        raise FedpError(
            f"the Ray task of client {client!r} was lost {_RETRIES + 1} times "
            f"({type(error).__name__}): {in_a_line(error)}"
        ) from error
    except ray.exceptions.RayError as error:
        raise mendable(error) from error


def evaluate_one(job: Job[Any, Any], client: Any) -> Any:
    """What a worker does; it opens the job with its first client."""
    _, evaluate = _opened(cast(Hashable, job))
    return evaluate(client)


# The newest only: the one before is closed when it is let go.
@functools.lru_cache(maxsize=1)
def _opened(
    job: Any,
) -> tuple[contextlib.ExitStack, Callable[[Any], Any]]:
    stack = contextlib.ExitStack()
    try:
        return stack, stack.enter_context(job.open())
    except (FedpError, OSError) as error:
        raise FedpError(
            f"node {socket.gethostname()} of the Ray cluster cannot begin "
            f"({in_a_line(error)}): every node has to find the same artifact and data "
            "at the same paths"
        ) from error
