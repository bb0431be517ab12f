"""The results of an evaluation under way, on disk as soon as they are known.

One JSON line a client after a first line that says what they rest on: so an evaluation
that was killed goes on where it stopped, and ten thousand clients need no memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, overload

from fedp.device_runtime.errors import FedpError
from fedp.training.evaluation.files import cannot_write
from fedp.training.evaluation.results import ClientResult, from_row, to_row

NAME = ".unfinished.jsonl"


class Unfinished:
    """What is known so far, by client; the file survives a kill at any instant."""

    def __init__(self, path: pathlib.Path, file: IO[bytes], rest_on: Any) -> None:
        """Use `open_unfinished`."""
        self.path = path
        self._file = file
        self._places: dict[str, int] = {}
        end = self._read(rest_on)
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._write(rest_on)

    def _read(self, rest_on: Any) -> int:
        """Bytes up to the end of the last whole line; 0 if all of it is of no use."""
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break  # cut short by a kill
            try:
                found = json.loads(line)
                if end:
                    self._places[from_row(found).client] = end
                elif found != rest_on:
                    return 0
            except (ValueError, TypeError):
                return end
            end += len(line)
        return end

    def add(self, result: ClientResult) -> None:
        """Remembers a result, also beyond the end of this process.

        Raises:
            FedpError: it cannot be written.
        """
        self._file.seek(0, 2)
        place = self._file.tell()
        self._write(to_row(result))
        self._places[result.client] = place

    def __contains__(self, client: object) -> bool:
        """Whether a client is done."""
        return client in self._places

    def result(self, client: str) -> ClientResult:
        """Reads the result of a client that is done."""
        self._file.seek(self._places[client])
        return from_row(json.loads(self._file.readline()))

    def remove(self) -> None:
        """Deletes the file: everything is written elsewhere."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _write(self, value: Any) -> None:
        try:
            self._file.write(json.dumps(value).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error


@contextlib.contextmanager
def open_unfinished(
    folder: pathlib.Path, rest_on: Mapping[str, object]
) -> Iterator[Unfinished]:
    """Opens what an earlier evaluation of the same settings has left, or begins anew.

    Args:
        folder: of the report.
        rest_on: all that a client's result depends on, as JSON has it.

    Raises:
        FedpError: another process is evaluating into this folder, or the file cannot
            be written.
    """
    path = folder / NAME
    try:
        file = open(path, "a+b")
    except OSError as error:
        raise cannot_write(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FedpError(
                f"report {folder} is being written by another process: wait for it, or "
                "give another directory"
            ) from error
        yield Unfinished(path, file, json.loads(json.dumps(rest_on)))


class StoredResults(Sequence[ClientResult]):
    """Results in the order of their clients, read from disk whenever one is asked for.

    It is good for as long as the file is open.
    """

    def __init__(self, unfinished: Unfinished, clients: Sequence[str]) -> None:
        """Takes clients that are all done."""
        self._unfinished, self._clients = unfinished, clients

    def __len__(self) -> int:
        """How many clients."""
        return len(self._clients)

    @overload
    def __getitem__(self, at: int) -> ClientResult: ...

    @overload
    def __getitem__(self, at: slice) -> list[ClientResult]: ...

    def __getitem__(self, at: int | slice) -> ClientResult | list[ClientResult]:
        """One result, or some."""
        if isinstance(at, slice):
            return [self._unfinished.result(client) for client in self._clients[at]]
        return self._unfinished.result(self._clients[at])
