"""Which clients an evaluation is about: never one that was trained on, unasked."""

from __future__ import annotations

from collections.abc import Sequence

from fedp.device_runtime.errors import DataError
from fedp.training.data.splits import ROLES, ClientSplit


def choose_clients(
    data_clients: Sequence[str],
    split: ClientSplit | None,
    wanted: str,
    trained_data: bool,
    seen_clients: bool = False,
    new_clients: bool = False,
) -> list[str]:
    """Resolves `--clients`, and keeps training clients out of an evaluation.

    Args:
        data_clients: all clients of the data set to evaluate on.
        split: of the data set that the model was trained on; None where nobody knows
            whom it was trained on. Then clients have no roles, "test" and the like
            stand for everybody, and one of the two last arguments is needed.
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
    if split is None and not (new_clients or seen_clients):
        raise DataError(
            "the artifact does not say which clients its model was trained on: give "
            "--new-clients if none of these was, or --seen-clients if some may be"
        )
    if new_clients and trained_data:
        raise DataError(
            "--new-clients does not fit: this is the data set that the model was "
            "trained on; use --clients test"
        )
    if (new_clients or split is None) and wanted in ROLES:
        wanted = "all"
    chosen = _resolve(data_clients, split, wanted)
    if split is not None and not (new_clients or seen_clients):
        _refuse_trained(split.select(chosen, "train"), trained_data)
    return chosen


def _resolve(
    data_clients: Sequence[str], split: ClientSplit | None, wanted: str
) -> list[str]:
    """Names that `wanted` stands for; at least one."""
    if wanted == "all":
        return list(data_clients)
    for role in ROLES:
        if split is not None and wanted == role:
            chosen = split.select(data_clients, role)
            if chosen:
                return chosen
            raise DataError(
                f"--clients {wanted}: none of the {len(data_clients)} clients is a "
                f"{role} client; choose another role, or clients by name"
            )
    # A large data set's names are looked up on disk rather than held here.
    lists = isinstance(data_clients, list | tuple)
    known = frozenset(data_clients) if lists else data_clients
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
