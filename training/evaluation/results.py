"""One evaluated client: its accuracies, and the table of all of them as a CSV file."""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from fedp.device_runtime.errors import DataError
from fedp.training.evaluation.calibration import BINS, Bins
from fedp.training.evaluation.files import replace_lines


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
        initial_bins: the initial model's answers by confidence.
        deployed_bins: likewise, of the model that is live.
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
    initial_bins: Bins = Bins()
    deployed_bins: Bins = Bins()


COLUMNS = tuple(field.name for field in dataclasses.fields(ClientResult))


def write_clients_csv(path: pathlib.Path, results: Iterable[ClientResult]) -> None:
    """Writes one row a client; numbers keep every digit, lists are space-separated.

    Raises:
        FedpError: the file cannot be written; an older one is left as it was.
    """
    replace_lines(path, _csv_lines(results))


def _csv_lines(results: Iterable[ClientResult]) -> Iterator[str]:
    text = io.StringIO()
    # All texts quoted: a plain "\r" in a name would end the row.
    rows = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    rows.writerow(COLUMNS)
    for result in results:
        rows.writerow(to_row(result))
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


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
            return [from_row(row) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read as a table of clients ({error}): give a "
            "clients.csv that `fedp evaluate` wrote"
        ) from error


def to_row(result: ClientResult) -> list[str | int | float]:
    """A result as the fields of a table's row."""
    *numbers, _, reason, curve, initial, deployed = (
        getattr(result, name) for name in COLUMNS
    )
    kept = "yes" if result.kept else "no"
    return [
        *numbers,
        kept,
        reason,
        " ".join(map(repr, curve)),
        _bins_text(initial),
        _bins_text(deployed),
    ]


def from_row(row: Sequence[str | int | float]) -> ClientResult:
    """A result from what `to_row` gave, or from its texts; ValueError if it is none."""
    client, adapt, test, initial, personalized, deployed, kept, reason, curve, *bins = (
        row
    )
    before, after = bins
    if kept not in ("yes", "no"):
        raise ValueError(f"kept is {kept!r} for client {client!r}, not yes or no")
    return ClientResult(
        client=str(client),
        adapt_examples=int(adapt),
        test_examples=int(test),
        initial=float(initial),
        personalized=float(personalized),
        deployed=float(deployed),
        kept=kept == "yes",
        reason=str(reason),
        curve=tuple(map(float, str(curve).split())),
        initial_bins=_bins(str(before)),
        deployed_bins=_bins(str(after)),
    )


def _bins_text(bins: Bins) -> str:
    return " ".join(repr(number) for part in bins for number in part)


def _bins(text: str) -> Bins:
    numbers = text.split()
    if len(numbers) != 3 * BINS:
        raise ValueError(f"{len(numbers)} numbers where {BINS} bins have {3 * BINS}")
    counts, hits, confidences = (
        numbers[at : at + BINS] for at in range(0, 3 * BINS, BINS)
    )
    return Bins(
        tuple(map(int, counts)), tuple(map(int, hits)), tuple(map(float, confidences))
    )
