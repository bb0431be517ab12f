"""The embedded data set: glyphs of 62 classes, every client writing in its own hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import overload

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.training.data.federated import Examples
from fedp.training.data.hands import CLASSES, SIDE, choose_hand, draw
from fedp.training.data.seeds import client_generator

_MOST_CLIENTS = 10_000_000
_MEDIAN, _SPREAD, _MOST = 80.0, 0.85, 300  # of examples a client: log-normal, cut

_EVENNESS = 0.4  # Dirichlet parameter of the class mix: well below 1 is uneven

# Of 100 clients, this many cannot be helped: half of the labels are random, half of
# the pixels are, or there are fewer than six examples.
_WRONG_LABELS, _NOISE, _TINY = 0.03, 0.03, 0.02


class SyntheticData:
    """A `FederatedData` set that is drawn when it is read; nothing is downloaded.

    A client's examples depend on the seed and the client's name alone: not on how many
    clients there are, or on the order of reading.

    Attributes:
        name: "synthetic".
        classes: "0".."9", "A".."Z", "a".."z".
        input_shape: (28, 28).
        label_shape: (), one label an example.
        fingerprint: id of the writers, equal for any number of clients of one seed.
    """

    name = "synthetic"
    classes = CLASSES
    input_shape: tuple[int, ...] = (SIDE, SIDE)
    label_shape: tuple[int, ...] = ()

    def __init__(
        self, clients: int = 100, seed: int = 0, max_examples: int | None = None
    ) -> None:
        """Opens the data set at once, however many clients it has.

        Args:
            clients: how many, 1..10,000,000.
            seed: another seed gives other writers.
            max_examples: most examples a client, the first ones; None for all.

        Raises:
            DataError: an argument out of range.
        """
        if not 1 <= clients <= _MOST_CLIENTS:
            raise DataError(
                f"synthetic data with {clients} clients; allowed are 1..{_MOST_CLIENTS}"
            )
        if max_examples is not None and max_examples < 1:
            raise DataError(f"max_examples is {max_examples}; allowed are 1 and more")
        self._names = _Names(clients)
        self._seed = seed
        self._max_examples = max_examples
        self.fingerprint = hashlib.sha256(f"synthetic/{seed}".encode()).hexdigest()[:16]

    def clients(self) -> Sequence[str]:
        """Names of all clients, sorted; made when they are asked for."""
        return self._names

    def count(self, client: str) -> int:
        """How many examples a client has."""
        everything, _ = self._size(client)
        return min(everything, self._max_examples or everything)

    def train_count(self, client: str) -> None:
        """None: clients come without a split of their own."""

    def close(self) -> None:
        """Nothing is open."""

    def load(self, client: str) -> Examples:
        """Draws one client's examples: x uint8 [n, 28, 28], y int32 [n].

        Raises:
            DataError: no such client.
            MissingDependencyError: matplotlib is not installed.
        """
        everything, trouble = self._size(client)
        random = self._random("examples", client)
        hand = choose_hand(random)
        mix = random.dirichlet(np.full(len(CLASSES), _EVENNESS))
        y = random.choice(len(CLASSES), size=everything, p=mix).astype(np.int32)
        y = y[: self._max_examples]
        x = draw(hand, y, self._random("images", client))
        noise = self._random("trouble", client)
        if trouble == "noise":
            dice = noise.random(x.shape)
            x = np.where(dice < 0.5, dice * 2 * 255, x)
        if trouble == "labels":
            dice = noise.random((len(y), 2))
            other = (dice[:, 1] * len(CLASSES)).astype(np.int32)
            y = np.where(dice[:, 0] < 0.5, other, y)
        return Examples(x.astype(np.uint8), y)

    def _random(self, purpose: str, client: str) -> np.random.Generator:
        return client_generator(f"synthetic {purpose}", self._seed, client)

    def _size(self, client: str) -> tuple[int, str]:
        """How many examples a client has without a cap, and its trouble if any."""
        if client not in self._names:
            raise DataError(
                f"synthetic data has no client {client!r}; its clients are "
                f"{self._names[0]}..{self._names[-1]}"
            )
        random = self._random("size", client)
        size = int(np.clip(_MEDIAN * np.exp(_SPREAD * random.normal()), 1, _MOST))
        chance = random.random()
        if chance < _TINY:
            return 1 + size % 5, "size"
        if chance < _TINY + _NOISE:
            return size, "noise"
        return size, "labels" if chance < _TINY + _NOISE + _WRONG_LABELS else ""


class _Names(Sequence[str]):
    """The sorted names of all clients, without holding them."""

    def __init__(self, clients: int) -> None:
        self._numbers = range(clients)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [_name(number) for number in self._numbers[index]]
        return _name(self._numbers[index])

    def __contains__(self, name: object) -> bool:
        number = str(name).removeprefix("writer-")
        # isdecimal() alone would let other scripts' digits through.
        return (
            number.isascii()
            and number.isdecimal()
            and int(number) in self._numbers
            and name == _name(int(number))
        )


def _name(number: int) -> str:
    return f"writer-{number:07d}"
