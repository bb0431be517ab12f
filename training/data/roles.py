"""Speeches by role in one JSON file, plain or gzipped: `{role: [speech, ...]}`."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
from collections.abc import Iterator, Sequence

from fedp.device_runtime.errors import DataError
from fedp.training.data import text
from fedp.training.data.client_index import Part
from fedp.training.data.federated import Examples
from fedp.training.data.indexed import IndexedData

_SUFFIXES = (".json", ".json.gz")


def open_roles(
    path: str | os.PathLike[str], max_examples: int | None = None, seed: int = 0
) -> IndexedData:
    """Opens a play's or many plays' roles for next-character prediction.

    Unlike other kinds, the file is held in memory: Shakespeare's complete works are
    5 MB.

    Args:
        path: of the file.
        max_examples: most windows a role, drawn by `seed`; None for all.
        seed: which windows a capped role keeps.

    Raises:
        DataError: no such file, or not such JSON.
    """
    return IndexedData(path, RolesSource(pathlib.Path(path)), max_examples, seed)


def is_roles(path: str) -> bool:
    """Whether a path's end is that of such a file."""
    return path.endswith(_SUFFIXES)


class RolesSource:
    """A file of speeches as a `Source`."""

    classes = text.TOKEN_NAMES
    input_shape: tuple[int, ...] = (text.WINDOW,)
    label_shape: tuple[int, ...] = (text.WINDOW,)

    def __init__(self, path: pathlib.Path) -> None:
        try:
            content = path.read_bytes()
            roles = json.loads(
                gzip.decompress(content) if path.suffix == ".gz" else content
            )
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such file; give an existing one") from error
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(roles, dict) or not all(
            isinstance(speeches, list) and all(isinstance(s, str) for s in speeches)
            for speeches in roles.values()
        ):
            raise DataError(f"{path} is no object of lists of strings, one list a role")
        self._roles: dict[str, list[bytes]] = {
            role: [speech.encode() for speech in speeches]
            for role, speeches in roles.items()
        }

    def parts(self) -> Iterator[Part]:
        """One part a role."""
        for role, speeches in self._roles.items():
            yield Part(role, sum(text.window_count(len(s)) for s in speeches))

    def read(self, parts: Sequence[Part]) -> Examples:
        """Cuts a role's speeches into windows."""
        return text.windows(self._roles[parts[0].client])

    def close(self) -> None:
        """Nothing is open."""
