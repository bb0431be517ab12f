"""LEAF's JSON files (Caldas et al. 2018, arXiv 1812.01097): FEMNIST, Shakespeare...

Values are as the files have them: FEMNIST's background is 1.0 and its ink 0.0.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.training.data import text
from fedp.training.data.client_index import Part
from fedp.training.data.federated import Examples
from fedp.training.data.indexed import IndexedData
from fedp.training.data.json_scan import Span, User, scan_users

_FEMNIST_CLASSES = tuple(
    string.digits + string.ascii_uppercase + string.ascii_lowercase
)
_FEMNIST_SIZE = 28 * 28
_MOST_CLASSES = 100_000
_decode = json.JSONDecoder().decode


def open_leaf(
    path: str | os.PathLike[str], max_examples: int | None = None, seed: int = 0
) -> IndexedData:
    """Opens LEAF's files without parsing them.

    Inputs that are lists of numbers become float32, 784 of them an image [28, 28];
    strings become int32 tokens of TFF's vocabulary, with one character to predict.
    784 numbers with labels 10..61 are taken for FEMNIST's classes 0-9, A-Z, a-z; other
    classes are named by their numbers.

    Args:
        path: one file, or a folder: of files, or of folders `train` and `test`, or
            `all_data`. A file's part is that of its folder, or is in its name, as in
            `all_data_0_niid_0_keep_0_train_9.json`.
        max_examples: most examples a client, drawn by `seed`; None for all.
        seed: which examples a capped client keeps.

    Raises:
        DataError: no such files, or what is in them cannot be used.
    """
    return IndexedData(path, LeafSource(_files(pathlib.Path(path))), max_examples, seed)


def is_leaf(folder: pathlib.Path) -> bool:
    """Whether a folder looks like LEAF's."""
    return any(True for _ in _candidates(folder))


class LeafSource:
    """LEAF files as a `Source`; each is open only while it is read."""

    def __init__(self, files: Sequence[pathlib.Path]) -> None:
        self._files = files
        self._text = False
        self._most = -1
        self.classes: tuple[str, ...] = ()
        self.input_shape: tuple[int, ...] = ()
        self.label_shape: tuple[int, ...] = ()

    def parts(self) -> Iterator[Part]:
        """Where each user's object is, in bytes of its file."""
        for number, file in enumerate(self._files):
            try:
                test = _side(file) == "test"
                with file.open("rb") as stream:
                    for user in scan_users(stream):
                        count = self._count(stream.fileno(), user)
                        yield Part(user.name, count, number, *user.whole, test)
            except OSError as error:
                raise DataError(f"{file} cannot be read: {error.strerror}") from error
            except DataError as error:
                raise DataError(f"{file.name} {error}") from error
        self.classes = self._class_names()

    def _count(self, file: int, user: User) -> int:
        """How many labels a user has; the first one's inputs tell the kind of all."""
        if user.content is not None:
            lists = _loads(user.content, user.whole.start)
        else:
            lists = {key: user.lists.get(key) for key in ("x", "y")}
        x, labels = lists.get("x"), lists.get("y")
        if not isinstance(x, list | Span) or not isinstance(labels, list | Span):
            raise DataError(f"has no lists x and y for user {user.name!r}: add them")
        if isinstance(labels, Span):
            labels = _parse(file, labels)
        if not labels:
            return 0
        if not self.input_shape:
            first = _inputs(_parse(file, x) if isinstance(x, Span) else x)
            self._text = first.dtype == np.int32
            self.input_shape = first.shape[1:]
        if not self._text:
            try:
                # Mixed types cannot be compared, and a bad type is no number.
                least, most = min(labels), max(labels)
                wrong = least if least < 0 else most
                fits = 0 <= least and most < _MOST_CLASSES
            except TypeError:
                wrong, fits = labels[0], False
            if not fits:
                raise DataError(
                    f"has label {wrong!r} of user {user.name!r}; allowed are integers "
                    f"0..{_MOST_CLASSES - 1}"
                )
            self._most = max(self._most, int(most))
        return len(labels)

    def _class_names(self) -> tuple[str, ...]:
        if self._text:
            return text.TOKEN_NAMES
        known = self.input_shape == (28, 28) and self._most < len(_FEMNIST_CLASSES)
        if known and self._most >= 10:
            return _FEMNIST_CLASSES
        least = 9 if known else 0
        return tuple(str(number) for number in range(max(self._most, least) + 1))

    def read(self, parts: Sequence[Part]) -> Examples:
        """Parses the objects of one user."""
        users = [self._parse_user(part) for part in parts]
        x = [_inputs(user["x"]) for user in users]
        y = [_labels(user["y"], self._text) for user in users]
        if len({a.shape[1:] for a in x}) > 1:
            raise DataError("x has examples of different shapes: bring all to one")
        return Examples(np.concatenate(x), np.concatenate(y))

    def _parse_user(self, part: Part) -> dict[str, Any]:
        file = self._files[part.file]
        try:
            with file.open("rb") as stream:
                user = _parse(stream.fileno(), Span(part.start, part.stop))
            if len(user["x"]) == len(user["y"]) == part.size:
                return dict(user)
            found = f"has {len(user['x'])} inputs and {len(user['y'])} labels"
        except (OSError, TypeError, KeyError) as error:
            raise DataError(
                f"{file.name} cannot be read ({error}); do not change it in use"
            ) from error
        raise DataError(f"{file.name} {found}; {part.size} of each are needed")

    def close(self) -> None:
        """Nothing stays open."""


def _parse(file: int, span: Span) -> Any:
    return _loads(os.pread(file, span.stop - span.start, span.start), span.start)


def _loads(content: bytes, at: int) -> Any:
    try:
        return _decode(content.decode())  # quicker than loads()
    except ValueError as error:
        raise DataError(f"is no JSON in what begins at byte {at}: {error}") from error


def _inputs(x: list[Any]) -> np.ndarray:
    """A user's inputs: int32 tokens [n, length], or float32 [n, ...]."""
    if x and all(isinstance(line, str) for line in x):
        lines = [text.tokens(line) for line in x]
        if len({len(line) for line in lines}) > 1 or not len(lines[0]):
            raise DataError("x has strings of different lengths: bring all to one")
        return np.stack(lines)
    try:
        numbers = np.asarray(x, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            "x is neither a list of strings nor one of equally many numbers an example"
        ) from error
    if numbers.ndim < 2 or 0 in numbers.shape:
        raise DataError(f"x has shape {list(numbers.shape)}; [examples, ...] is needed")
    if numbers.shape[1:] == (_FEMNIST_SIZE,):
        return numbers.reshape(-1, 28, 28)
    return numbers


def _labels(y: list[Any], characters: bool) -> np.ndarray:
    """A user's labels: int32 [n]."""
    if characters:
        if not all(isinstance(label, str) and len(label) == 1 for label in y):
            raise DataError("y holds labels that are not one character each")
        return text.tokens("".join(y))
    labels = np.asarray(y)
    if labels.ndim != 1 or (labels != np.floor(labels)).any():
        raise DataError("y holds labels that are no integers: one an example is needed")
    return labels.astype(np.int32)


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; give LEAF's .json files")
    files = sorted(_candidates(path)) if path.is_dir() else [path]
    if not files:
        raise DataError(
            f"{path} holds no .json files, nor do folders train, test or all_data in "
            "it: give the folder that LEAF wrote"
        )
    return files


def _candidates(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    halves = [folder / "train", folder / "test"]
    if any(half.is_dir() for half in halves):
        for half in halves:
            yield from half.glob("*.json")
        return
    found = list(folder.glob("*.json"))
    yield from found or (folder / "all_data").glob("*.json")


def _side(file: pathlib.Path) -> str:
    """Either train, test or nothing; the folder's name goes before the file's."""
    if file.parent.name in ("train", "test"):
        return file.parent.name
    names = re.findall(r"(?:^|_)(train|test)(?=_|$)", file.stem)
    return names[-1] if names else ""
