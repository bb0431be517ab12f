"""From what people write after --data to a data set."""

from __future__ import annotations

import pathlib
import urllib.parse

from fedp.device_runtime.errors import DataError
from fedp.training.data import hdf5, leaf, parquet, roles, tff_sql
from fedp.training.data.federated import FederatedData
from fedp.training.data.named import DOWNLOADS, open_named
from fedp.training.data.npz import NpzData
from fedp.training.data.parquet_columns import OPTIONS as PARQUET_OPTIONS
from fedp.training.data.synthetic import SyntheticData

_ALLOWED = (
    "synthetic, synthetic:CLIENTS, fed_emnist, fed_emnist_digits, shakespeare (each "
    "also as NAME:PATH), and the path of an .npz, .parquet, .json (LEAF), .h5 or "
    ".sqlite (TFF), or of a folder of one of these"
)


def open_data(
    spec: str,
    *,
    max_examples: int | None = None,
    seed: int = 0,
    clients: int | None = None,
) -> FederatedData:
    """Opens a data set; no kind reads more than it needs to know its clients.

    Args:
        spec: "synthetic" or "synthetic:CLIENTS"; "fed_emnist", "fed_emnist_digits" or
            "shakespeare", which TFF downloads, or with ":PATH" reads there; or the path
            of an .npz, of Parquet (with `?client=COLUMN&label=COLUMN&shape=28,28` where
            its columns do not tell), of LEAF's JSON, of TFF's HDF5 or SQLite (with
            `?split=all&classes=62`), or of a folder of one of them.
        max_examples: most examples a client; None for all.
        seed: draws the synthetic writers, or what a capped client keeps.
        clients: how many synthetic clients where `spec` does not say.

    Raises:
        DataError: another spec, or a data set that cannot be used.
        MissingDependencyError: a package that reads it is not installed.
    """
    kind, colon, rest = spec.partition(":")
    if kind == "synthetic":
        clients = _number(spec, rest) if colon else clients
        size = {} if clients is None else {"clients": clients}
        return SyntheticData(seed=seed, max_examples=max_examples, **size)
    if clients is not None:
        raise DataError(
            f"{spec} has the clients it has; only synthetic data takes their number"
        )
    if kind in DOWNLOADS:
        if colon and not rest:
            raise DataError(f"data set {spec!r} names no path after the colon: add it")
        path = rest if colon else None
        if path is not None and kind == "shakespeare" and roles.is_roles(path):
            return roles.open_roles(path, max_examples, seed)
        return open_named(kind, path, max_examples, seed)
    return _open_path(spec, max_examples, seed)


def _open_path(spec: str, max_examples: int | None, seed: int) -> FederatedData:
    text, _, query = (spec, "", "") if _exists(spec) else spec.partition("?")
    path = pathlib.Path(text)
    kind = _kind(path) if text else ""
    if kind == "npz":
        _options(spec, query, ())
        return NpzData(path, max_examples=max_examples, seed=seed)
    if kind == "parquet":
        options = _options(spec, query, PARQUET_OPTIONS)
        return parquet.open_parquet(path, max_examples, seed, options=options)
    if kind == "sqlite":
        options = _options(spec, query, ("split", "classes"))
        number = options.get("classes")
        return tff_sql.open_tff_sql(
            path,
            max_examples,
            seed,
            split=options.get("split"),
            classes=None if number is None else _class_count(spec, number),
        )
    if kind == "hdf5":
        _options(spec, query, ())
        return hdf5.open_hdf5(path, max_examples, seed)
    if kind == "leaf":
        _options(spec, query, ())
        return leaf.open_leaf(path, max_examples, seed)
    raise DataError(f"data set {spec!r} is of no known kind; allowed are {_ALLOWED}")


def _kind(path: pathlib.Path) -> str:
    """The kind of a file by the end of its name, of a folder by what is in it."""
    if path.suffix == ".npz":
        return "npz"
    if path.suffix in tff_sql.SUFFIXES:
        return "sqlite"
    if _exists(str(path)) and path.is_dir():
        if parquet.is_parquet(path):
            return "parquet"
        if hdf5.is_hdf5(path):
            return "hdf5"
        return "leaf" if leaf.is_leaf(path) else ""
    if path.suffix in hdf5.SUFFIXES:
        return "hdf5"
    return {parquet.SUFFIX: "parquet", ".json": "leaf"}.get(path.suffix, "")


def _exists(spec: str) -> bool:
    try:
        return bool(spec) and pathlib.Path(spec).exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


def _options(spec: str, query: str, allowed: tuple[str, ...]) -> dict[str, str]:
    options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - set(allowed))
    if unknown or (query and not options):
        raise DataError(
            f"data set {spec!r} has options {', '.join(unknown) or query}; allowed "
            f"here are {', '.join(allowed) or 'none'}"
        )
    return options


def absolute(spec: str) -> str:
    """What names the same data set in another working directory."""
    kind, colon, rest = spec.partition(":")
    if kind == "synthetic" or (kind in DOWNLOADS and not rest):
        return spec
    name, path = (kind + colon, rest) if kind in DOWNLOADS else ("", spec)
    place, question, options = path.partition("?")
    return f"{name}{pathlib.Path(place).absolute()}{question}{options}"


def _number(spec: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(
            f"data set {spec!r}: {text!r} is no number of clients; write it as in "
            "synthetic:100"
        ) from error


def _class_count(spec: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise DataError(
            f"data set {spec!r}: {text!r} is no number of classes; write it as in "
            "?classes=62"
        )
    return int(text)
