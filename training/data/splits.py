"""Who trains and who evaluates, and which of a client's examples adapt or test."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.training.data.federated import Examples
from fedp.training.data.seeds import client_generator

Role = Literal["train", "validation", "test"]
ROLES: tuple[Role, ...] = ("train", "validation", "test")
_MANY = 10_000  # clients; with more, only the shares count


@dataclasses.dataclass(frozen=True)
class ClientSplit:
    """Each client's role, decided by its name alone.

    SHA-256 of "seed/client" gives every client a number u in [0, 1); two thresholds on
    u split the clients. So the rule fits in an artifact whatever the number of
    clients, tells nobody's name, and still recognises who was trained on.

    Attributes:
        seed: of the hash.
        validation_from: clients with u below it are training clients.
        test_from: clients with u at or above it are test clients; between the two
            they are validation clients.
    """

    seed: int
    validation_from: float
    test_from: float

    @classmethod
    def of(
        cls,
        clients: Iterable[str],
        seed: int,
        validation: float = 0.1,
        test: float = 0.2,
    ) -> ClientSplit:
        """Splits clients so that the shares hold exactly, up to rounding.

        More than 10,000 clients are not looked at: their shares hold to within a
        fraction of a percent by the law of large numbers.

        Args:
            clients: all names.
            seed: another seed draws other clients.
            validation: share of validation clients, in (0, 1); at least one client.
            test: share of test clients, likewise; the rest train, at least one.

        Raises:
            DataError: fewer than three clients, or shares that leave none to train.
        """
        names: set[str] = set()
        for name in clients:
            names.add(name)
            if len(names) > _MANY:
                break
        if len(names) < 3:
            raise DataError(
                f"{len(names)} clients cannot be split; three or more are needed, one "
                "each for train, validation and test"
            )
        if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
            raise DataError(
                f"shares validation={validation} and test={test} are out of range; "
                "each must be above 0, and their sum below 1"
            )
        if len(names) > _MANY:
            return cls(seed, 1 - validation - test, 1 - test)
        u = sorted(_place(seed, name) for name in names)
        tests = min(max(round(len(u) * test), 1), len(u) - 2)
        validations = min(max(round(len(u) * validation), 1), len(u) - tests - 1)
        return cls(
            seed=seed,
            validation_from=_between(u, len(u) - tests - validations),
            test_from=_between(u, len(u) - tests),
        )

    def role(self, client: str) -> Role:
        """The role of a client, also of one that was not there when splitting."""
        u = _place(self.seed, client)
        if u < self.validation_from:
            return "train"
        return "validation" if u < self.test_from else "test"

    def select(self, clients: Iterable[str], role: Role) -> list[str]:
        """Those of the clients that have a role, in their order."""
        return list(self.iterate(clients, role))

    def sample(
        self,
        clients: Sequence[str],
        role: Role,
        count: int,
        random: np.random.Generator,
        accept: Callable[[str], bool] = lambda name: True,
    ) -> list[str]:
        """Draws clients of a role, without replacement and without listing them all.

        Names are drawn out of all clients and those of other roles dropped; only where
        that would take too long, as most of a role is wanted, is everybody looked at.

        Args:
            clients: all names, sorted; each is asked for by its number.
            role: which ones.
            count: how many.
            random: decides which, and nothing else does.
            accept: says of a client of the role whether it can be drawn.

        Returns:
            Names, each once, in random order.

        Raises:
            DataError: fewer clients have the role.
        """
        chosen = self._draw(clients, role, count, random, accept)
        if len(chosen) < count:
            raise DataError(
                f"{count} {role} clients are wanted, but only {len(chosen)} of "
                f"{len(clients)} have this role: take fewer"
            )
        return chosen

    def _draw(
        self,
        clients: Sequence[str],
        role: Role,
        count: int,
        random: np.random.Generator,
        accept: Callable[[str], bool] = lambda name: True,
    ) -> list[str]:
        """At most `count` clients of a role, fewer only where there are no more."""
        chosen: dict[int, str] = {}
        # Enough for shares above a percent; then a pass over all names is due anyway.
        for _ in range(min(len(clients), 100 * count + 100) if count else 0):
            number = int(random.integers(len(clients)))
            name = clients[number]
            if number not in chosen and self.role(name) == role and accept(name):
                chosen[number] = name
                if len(chosen) == count:
                    return list(chosen.values())
        others = np.array(
            [
                number
                for number, name in enumerate(clients)
                if number not in chosen and self.role(name) == role and accept(name)
            ],
            np.int64,
        )
        missing = min(count - len(chosen), len(others))
        rest = random.choice(others, missing, replace=False).tolist()
        return [*chosen.values(), *(clients[number] for number in rest)]

    def sample_up_to(
        self, clients: Sequence[str], role: Role, most: int, random: np.random.Generator
    ) -> list[str]:
        """Like `sample`, but all clients of the role where they are fewer."""
        return self._draw(clients, role, most, random)

    def count(self, clients: Iterable[str], role: Role) -> int:
        """How many of the clients have a role; looks at each name."""
        return sum(1 for _ in self.iterate(clients, role))

    def iterate(self, clients: Iterable[str], role: Role) -> Iterator[str]:
        """Like `select`, one name at a time."""
        return (client for client in clients if self.role(client) == role)

    def to_json(self) -> dict[str, Any]:
        """The fields, ready for a manifest."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ClientSplit:
        """Reads what `to_json` returned.

        Raises:
            DataError: a field is missing, foreign, or no number.
        """
        try:
            split = cls(**fields)
            numbers = float(split.validation_from), float(split.test_from)
            return cls(int(split.seed), *numbers)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"client split {fields} cannot be read; seed, validation_from and "
                "test_from are needed"
            ) from error


def _place(seed: int, client: str) -> float:
    # 52 bits: then the middle between two neighbours is an exact float as well.
    digest = hashlib.sha256(f"{seed}/{client}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 12) / 2**52


def _between(u: Sequence[float], at: int) -> float:
    return (u[at - 1] + u[at]) / 2


def split_examples(
    client: str,
    examples: Examples,
    seed: int,
    test: float = 0.5,
    train_count: int | None = None,
) -> tuple[Examples, Examples]:
    """Splits a client's own examples into a support and a query part.

    A split that the data set comes with is kept, unless one of its parts is empty.

    Args:
        client: its name; other clients shuffle otherwise.
        examples: x [n, ...] and y [n, ...].
        seed: of the shuffle.
        test: share of the query part, in (0, 1]; rounded up, so that a single example
            is tested on and none is left to adapt on.
        train_count: what `FederatedData.train_count` says: how many examples, the first
            ones, are support; None for a share of them, shuffled.

    Returns:
        Support (to adapt on) and query (to test on): n - q and q examples.

    Raises:
        DataError: a share out of range.
    """
    if not 0 < test <= 1:
        raise DataError(f"share test={test} is out of range; allowed is above 0 to 1")
    count = len(examples.y)
    if train_count is not None and 0 < train_count < count:
        return (
            Examples(examples.x[:train_count], examples.y[:train_count]),
            Examples(examples.x[train_count:], examples.y[train_count:]),
        )
    order = client_generator("split", seed, client).permutation(count)
    # 100 * 0.07 is a hair above 7, which must not become 8.
    query = min(count, max(1, math.ceil(round(count * test, 9))))
    support, query_rows = order[: count - query], order[count - query :]
    return (
        Examples(examples.x[support], examples.y[support]),
        Examples(examples.x[query_rows], examples.y[query_rows]),
    )
