"""Reads the clients of a round for the engines that train in this process."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fedp.device_runtime.errors import FedpError
from fedp.training.engines.contract import ClientData, ReadClient
from fedp.training.sampling import Participant

_LONGEST_LINE = 300

# What a client's data may raise; anything else is a bug and has to be seen.
CLIENT_FAILURES = (FedpError, OSError, ValueError)


class RoundClients(NamedTuple):
    """The clients of a round, as far as they could be read.

    Attributes:
        read: name -> examples, in the order of the participants.
        failed: name -> why it could not be read, in a line.
    """

    read: dict[str, ClientData]
    failed: Mapping[str, str]


class Reader:
    """Reads a round while the one before it trains."""

    def __init__(self, read: ReadClient) -> None:
        """Takes the function that reads one client."""
        self._read = read
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "fedp-reader")
        self._ahead: tuple[list[str], concurrent.futures.Future[RoundClients]] | None
        self._ahead = None

    def clients(
        self, participants: Sequence[Participant], upcoming: Sequence[Participant]
    ) -> RoundClients:
        """This round's clients; the upcoming ones are begun in the background."""
        if self._ahead and self._ahead[0] == _key(participants):
            here = self._ahead[1].result()
        else:
            here = self._all(participants)
        self._ahead = None
        if upcoming:
            future = self._pool.submit(self._all, list(upcoming))
            self._ahead = (_key(upcoming), future)
        return here

    def _all(self, participants: Sequence[Participant]) -> RoundClients:
        read, failed = {}, {}
        for participant in participants:
            try:
                read[participant.client] = self._read(participant)
            except CLIENT_FAILURES as error:
                failed[participant.client] = in_a_line(error)
        return RoundClients(read, failed)

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def in_a_line(error: BaseException) -> str:
    """An error's message without line breaks, and not a page of it."""
    line = " ".join(str(error).split())
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3] + "..."


def _key(participants: Sequence[Participant]) -> list[str]:
    return [f"{p.client}/{p.seed.tolist()}" for p in participants]
