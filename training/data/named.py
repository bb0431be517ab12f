"""Data sets that TFF knows by name, downloaded once into TFF's own cache."""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

from fedp.device_runtime.errors import DataError, MissingDependencyError
from fedp.training.data import hdf5, tff_sql
from fedp.training.data.indexed import IndexedData

_SITE = "https://storage.googleapis.com/tff-datasets-public"
_PACKED = ".lzma"


class Download(NamedTuple):
    """One of TFF's data sets.

    Attributes:
        file: its name in the cache, unpacked.
        module: which module of `tff.simulation.datasets` downloads it.
        split: what stands before `train` and `test` in the names of its splits.
        classes: how many; None with text, whose tokens are known.
        arguments: of the module's `load_data`.
    """

    file: str
    module: str
    split: str
    classes: int | None
    arguments: dict[str, Any]


DOWNLOADS = {
    "fed_emnist": Download(
        "emnist_all.sqlite", "emnist", "all", 62, {"only_digits": False}
    ),
    "fed_emnist_digits": Download(
        "emnist_all.sqlite", "emnist", "digits_only", 10, {"only_digits": True}
    ),
    "shakespeare": Download("shakespeare.sqlite", "shakespeare", "", None, {}),
}


def open_named(
    name: str,
    path: str | None = None,
    max_examples: int | None = None,
    seed: int = 0,
) -> IndexedData:
    """Opens one of TFF's data sets.

    Args:
        name: a key of DOWNLOADS.
        path: where it is: TFF's SQLite file, or its HDF5 file or folder of such; None
            for TFF's cache (`~/.tff`), into which it is downloaded if it is not there.
        max_examples: most examples a client, drawn by `seed`; None for all.
        seed: which examples a capped client keeps.

    Raises:
        DataError: it cannot be downloaded, or is not at the path.
        MissingDependencyError: a package that reads or downloads it is not installed.
    """
    known = DOWNLOADS[name]
    file = pathlib.Path(path) if path is not None else _downloaded(name, known)
    if file.suffix == _PACKED:
        raise DataError(
            f"{file} is packed: unpack it with `xz --format=lzma --decompress --keep "
            f"{file}`, and give {name}:{file.with_suffix('')}"
        )
    if not file.exists():
        raise DataError(
            f"{file}: no such file or folder; give that of {known.file} or of .h5 "
            "files from TFF"
        )
    if file.is_dir() or file.suffix in hdf5.SUFFIXES:
        return hdf5.open_hdf5(file, max_examples, seed, name=name)
    return tff_sql.open_tff_sql(
        file,
        max_examples,
        seed,
        name=name,
        default_split=known.split,
        classes=known.classes,
    )


def _downloaded(name: str, known: Download) -> pathlib.Path:
    """The data set in TFF's cache."""
    folder = pathlib.Path.home() / ".tff"
    file = folder / known.file
    if file.exists():
        return file
    try:
        import tensorflow_federated as tff
    except ImportError as error:
        raise MissingDependencyError(
            f"data set {name} is downloaded by TFF, which is not installed: run "
            f"`make .venv/installed`, or {_by_hand(name, known)}"
        ) from error
    try:
        module = getattr(tff.simulation.datasets, known.module)
        module.load_data(**known.arguments, cache_dir=str(folder))
    except Exception as error:
        # TFF takes what an interrupted download has left for the whole file.
        file.unlink(missing_ok=True)
        raise DataError(
            f"data set {name} cannot be downloaded ({' '.join(str(error).split())}): "
            + _by_hand(name, known)
        ) from error
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file


def _by_hand(name: str, known: Download) -> str:
    return (
        f"fetch {_SITE}/{known.file}{_PACKED} on another machine, unpack it with `xz "
        f"--format=lzma --decompress`, and give {name}:PATH/{known.file}"
    )
