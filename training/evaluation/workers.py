"""Client by client on several processes, none of which outlives the caller."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol, TypeVar, cast

from fedp.device_runtime.errors import FedpError
from fedp.training.evaluation.lifeline import die_with

# What a worker is given, such as a client's name, and what it gives back.
Item = TypeVar("Item")
Result = TypeVar("Result")
_Given = TypeVar("_Given", contravariant=True)
_Made = TypeVar("_Made", covariant=True)

# Called with how many items are done, how many there are, and the newest result.
OnResult = Callable[[int, int, Result], None]


class Job(Protocol[_Given, _Made]):
    """What a worker needs to begin; it is pickled."""

    def open(self) -> AbstractContextManager[Callable[[_Given], _Made]]:
        """Opens what all items share, and closes it; runs once in each process."""


def evaluate_on(
    processes: int,
    job: Job[Item, Result],
    clients: Sequence[Item],
    on_result: OnResult[Result] | None = None,
) -> list[Result]:
    """Evaluates clients, each as soon as a process is free.

    Args:
        processes: how many worker processes; 1 works in this process.
        job: opened by every worker.
        clients: names, or whatever else the job takes.
        on_result: told of each result as it comes, in any order.

    Returns:
        One result a client, in the order of `clients`.

    Raises:
        FedpError: a client's evaluation raised it, or a worker died.
    """
    results: dict[int, Result] = {}
    with contextlib.closing(arriving(processes, job, clients)) as found:
        for index, result in found:
            results[index] = result
            if on_result:
                on_result(len(results), len(clients), result)
    return [results[index] for index in range(len(clients))]


def arriving(
    processes: int, job: Job[Item, Result], clients: Sequence[Item]
) -> Generator[tuple[int, Result], None, None]:
    """Yields a client's number and its result as soon as it is known; see above.

    Closing it ends the workers.
    """
    processes = min(processes, len(clients))
    if processes > 1:
        yield from _from_workers(processes, job, clients)
    elif clients:
        with job.open() as evaluate:
            for index, client in enumerate(clients):
                yield index, evaluate(client)


def _from_workers(
    processes: int, job: Job[Item, Result], clients: Sequence[Item]
) -> Generator[tuple[int, Result], None, None]:
    todo = deque(range(len(clients)))
    doing: dict[Connection, int] = {}
    with _workers(processes, job) as workers:

        def hand_out(connection: Connection) -> None:
            if todo:
                index = doing[connection] = todo.popleft()
                with _death_told(workers[connection], clients[index]):
                    connection.send(clients[index])

        def take_in(connection: Connection) -> tuple[int, Result]:
            index = doing.pop(connection)
            with _death_told(workers[connection], clients[index]):
                answer = connection.recv()
            if isinstance(answer, FedpError):
                raise answer
            return index, answer

        for connection in workers:
            hand_out(connection)
        while doing:
            for ready in wait(list(doing)):
                connection = cast(Connection, ready)
                result = take_in(connection)
                hand_out(connection)
                yield result


@contextlib.contextmanager
def _death_told(worker: SpawnProcess, client: object) -> Iterator[None]:
    """Says what a broken connection means."""
    try:
        yield
    except (EOFError, OSError) as error:
        worker.join()
        code = worker.exitcode or 0
        how = (
            f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
        )
        raise FedpError(
            f"the worker process for client {client!r} {how}: look above for its "
            "error or for a lack of memory, or use a single process"
        ) from error


@contextlib.contextmanager
def _workers(
    processes: int, job: Job[Any, Any]
) -> Iterator[dict[Connection, SpawnProcess]]:
    """Starts workers and, however the block is left, ends them."""
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, SpawnProcess] = {}
    try:
        with _interrupts_for_the_parent_alone():
            for _ in range(processes):
                ours, theirs = context.Pipe()
                arguments = (job, theirs, os.getpid())
                worker = context.Process(target=_work, args=arguments, daemon=True)
                worker.start()
                theirs.close()
                workers[ours] = worker
        yield workers
    finally:
        for connection, worker in workers.items():
            worker.kill()
            worker.join()
            connection.close()


@contextlib.contextmanager
def _interrupts_for_the_parent_alone() -> Iterator[None]:
    """Blocks SIGINT, for the children's whole life: a blocked signal is inherited.

    A terminal sends Ctrl-C to the children as well, who would each print a traceback.
    One that comes meanwhile is raised here at the end, when every child is known.
    """
    # Started by the first child otherwise, and then it unblocks SIGINT.
    resource_tracker.ensure_running()
    held: list[int] = []
    # A thread of NumPy's, which blocks nothing, may take the signal for this one.
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    if main:
        signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if main:
            signal.signal(signal.SIGINT, handler)
    if held:
        signal.raise_signal(signal.SIGINT)


def _work(job: Job[Any, Any], connection: Connection, parent: int) -> None:
    """A worker's life: open the job, then a result or an error for every client."""
    die_with(parent)
    try:
        with job.open() as evaluate:
            while True:
                connection.send(evaluate(connection.recv()))
    except EOFError:
        pass  # the parent has closed the connection
    except FedpError as error:
        connection.send(error)
