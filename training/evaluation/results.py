"""One evaluated client: its accuracies, and the table of all of them as a CSV file."""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable

from fedp.device_runtime.errors import DataError
from fedp.training.evaluation.files import replace_text


@dataclasses.dataclass(frozen=True)
class ClientResult:
    """What personalization did to one client.

    All accuracies (0..1) are on the client's test part, which the device never saw.

    Attributes:
        client: its name.
        adapt_examples: examples given to the device, the guard's hold-out included.
        test_examples: examples kept back from the device.
        initial: accuracy of the initial model.
        personalized: accuracy after the last local epoch, whatever the guard decided.
        deployed: accuracy of the model that is live after the guard's decision.
        kept: whether the guard kept the personalized model.
        reason: the guard's reason, in its words.
        curve: accuracy after 0, 1, 2, ... local epochs; `curve[0]` is `initial`.
    """

    client: str
    adapt_examples: int
    test_examples: int
    initial: float
    personalized: float
    deployed: float
    kept: bool
    reason: str
    curve: tuple[float, ...]


COLUMNS = tuple(field.name for field in dataclasses.fields(ClientResult))


def write_clients_csv(path: pathlib.Path, results: Iterable[ClientResult]) -> None:
    """Writes one row a client; numbers keep every digit, `curve` is space-separated.

    Raises:
        FedpError: the file cannot be written; an older one is left as it was.
    """
    text = io.StringIO()
    # All texts quoted: a plain "\r" in a name would end the row.
    rows = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    rows.writerow(COLUMNS)
    for result in results:
        *fields, kept, reason, curve = (getattr(result, name) for name in COLUMNS)
        kept = "yes" if kept else "no"
        rows.writerow([*fields, kept, reason, " ".join(map(repr, curve))])
    replace_text(path, text.getvalue())


def read_clients_csv(path: pathlib.Path) -> list[ClientResult]:
    """Reads what `write_clients_csv` wrote.

    Raises:
        DataError: no such file, or not such a table.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            if tuple(next(rows, ())) != COLUMNS:
                raise ValueError(f"the first line is not {','.join(COLUMNS)}")
            return [_parse(row) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read as a table of clients ({error}): give a "
            "clients.csv that `fedp evaluate` wrote"
        ) from error


def _parse(row: list[str]) -> ClientResult:
    client, adapt, test, initial, personalized, deployed, kept, reason, curve = row
    if kept not in ("yes", "no"):
        raise ValueError(f"kept is {kept!r} for client {client!r}, not yes or no")
    return ClientResult(
        client=client,
        adapt_examples=int(adapt),
        test_examples=int(test),
        initial=float(initial),
        personalized=float(personalized),
        deployed=float(deployed),
        kept=kept == "yes",
        reason=reason,
        curve=tuple(map(float, curve.split())),
    )
