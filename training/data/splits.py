"""Who trains and who evaluates, and which of a client's examples adapt or test."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from fedp.device_runtime.errors import DataError
from fedp.training.data.federated import Examples
from fedp.training.data.seeds import client_generator

Role = Literal["train", "validation", "test"]
ROLES: tuple[Role, ...] = ("train", "validation", "test")


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

        Args:
            clients: all names.
            seed: another seed draws other clients.
            validation: share of validation clients, in (0, 1); at least one client.
            test: share of test clients, likewise; the rest train, at least one.

        Raises:
            DataError: fewer than three clients, or shares that leave none to train.
        """
        u = sorted(_place(seed, client) for client in set(clients))
        if len(u) < 3:
            raise DataError(
                f"{len(u)} clients cannot be split; three or more are needed, one each "
                "for train, validation and test"
            )
        if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
            raise DataError(
                f"shares validation={validation} and test={test} are out of range; "
                "each must be above 0, and their sum below 1"
            )
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
        return [client for client in clients if self.role(client) == role]

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
    client: str, examples: Examples, seed: int, test: float = 0.5
) -> tuple[Examples, Examples]:
    """Splits a client's own examples into a support and a query part.

    Args:
        client: its name; other clients shuffle otherwise.
        examples: x [n, ...] and y [n].
        seed: of the shuffle.
        test: share of the query part, in (0, 1]; rounded up, so that a single example
            is tested on and none is left to adapt on.

    Returns:
        Support (to adapt on) and query (to test on): n - q and q examples.

    Raises:
        DataError: a share out of range.
    """
    if not 0 < test <= 1:
        raise DataError(f"share test={test} is out of range; allowed is above 0 to 1")
    count = len(examples.y)
    order = client_generator("split", seed, client).permutation(count)
    # 100 * 0.07 is a hair above 7, which must not become 8.
    query = min(count, max(1, math.ceil(round(count * test, 9))))
    support, query_rows = order[: count - query], order[count - query :]
    return (
        Examples(examples.x[support], examples.y[support]),
        Examples(examples.x[query_rows], examples.y[query_rows]),
    )


def choose_clients(
    data_clients: Sequence[str],
    split: ClientSplit,
    wanted: str,
    trained_data: bool,
    seen_clients: bool = False,
    new_clients: bool = False,
) -> list[str]:
    """Resolves `--clients`, and keeps training clients out of an evaluation.

    Args:
        data_clients: all clients of the data set to evaluate on.
        split: of the data set that the model was trained on.
        wanted: "test", "validation", "train", "all", or names with commas between.
        trained_data: whether that is the data set the model was trained on.
        seen_clients: `--seen-clients`: training clients are wanted, as in Table 2.
        new_clients: `--new-clients`: a promise that this data set shares no client
            with the training data, so that everybody may be chosen.

    Returns:
        Names, each once.

    Raises:
        DataError: a training client without leave, an unknown name, nobody at all, or
            `new_clients` on the data set that was trained on.
    """
    if new_clients and trained_data:
        raise DataError(
            "--new-clients does not fit: this is the data set that the model was "
            "trained on; use --clients test"
        )
    if new_clients and wanted in (*ROLES, "all"):
        wanted = "all"
    chosen = _resolve(data_clients, split, wanted)
    if not (new_clients or seen_clients):
        _refuse_trained(split.select(chosen, "train"), trained_data)
    return chosen


def _resolve(data_clients: Sequence[str], split: ClientSplit, wanted: str) -> list[str]:
    """Names that `wanted` stands for; at least one."""
    if wanted == "all":
        return list(data_clients)
    for role in ROLES:
        if wanted == role:
            chosen = split.select(data_clients, role)
            if chosen:
                return chosen
            raise DataError(
                f"--clients {wanted}: none of the {len(data_clients)} clients is a "
                f"{role} client; choose another role, or clients by name"
            )
    known = set(data_clients)
    # dict.fromkeys drops repeated names and keeps the order.
    names = [name for name in dict.fromkeys(map(str.strip, wanted.split(","))) if name]
    names = [wanted] if wanted in known else names
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise DataError(
            f"--clients {wanted}: no client {_few(unknown) or 'is named'}; allowed are "
            f"test, validation, train, all, or names such as {_few(data_clients)}"
        )
    return names


def _refuse_trained(trained: Sequence[str], trained_data: bool) -> None:
    if not trained:
        return
    message = (
        f"{len(trained)} of the chosen clients are training clients "
        f"({_few(trained)}) and cannot evaluate: use --clients test, or "
        "--seen-clients for a comparison with seen clients"
    )
    if not trained_data:
        message += (
            ", or --new-clients if none of this data set's clients was trained on"
        )
    raise DataError(message)


def _few(names: Sequence[str]) -> str:
    """At most three names, and a hint of more."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
