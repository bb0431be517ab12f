"""TFF's SQL client data: tf.train.Example protos in the tables of a SQLite file."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.errors import DataError, MissingDependencyError
from fedp.training.data import text
from fedp.training.data.client_index import Part
from fedp.training.data.federated import Examples
from fedp.training.data.indexed import IndexedData
from fedp.training.data.tff_features import (
    SNIPPETS,
    Features,
    as_inputs,
    check_label_range,
    class_names,
    find_features,
)
from fedp.training.data.tff_tables import TffTables

SUFFIXES = (".sqlite", ".sqlite3", ".db")


def open_tff_sql(
    path: str | os.PathLike[str],
    max_examples: int | None = None,
    seed: int = 0,
    *,
    name: str | None = None,
    split: str | None = None,
    default_split: str | None = None,
    classes: int | None = None,
) -> IndexedData:
    """Opens what TFF downloads, or what its `save_to_sql_client_data` wrote.

    Pixels are as the file has them: in `fed_emnist` the background is 1.0. Protos hold
    flat lists: 784 floats become an image [28, 28], all others stay flat; integers
    become int32 tokens.

    Args:
        path: the SQLite file, unpacked.
        max_examples: most examples a client, drawn by `seed`; None for all.
        seed: which examples a capped client keeps.
        name: of the data set, if not the path's.
        split: what stands before `train` and `test` in the names of the splits to read,
            such as "all" or "digits_only"; or one split's whole name. Needed where the
            file has several.
        default_split: the same, for files that have several where `split` is None.
        classes: how many; by default EMNIST's 62 (10 in splits of digits) for images of
            28x28, else found by reading every label, which takes its time.

    Raises:
        DataError: no such file, or one of another layout.
        MissingDependencyError: TensorFlow is not installed.
    """
    parse = _example_parser(path)
    tables = TffTables(pathlib.Path(path), split, default_split)
    source = SqlSource(tables, parse, classes)
    return IndexedData(path, source, max_examples, seed, name)


class SqlSource:
    """TFF's tables as a `Source`."""

    def __init__(
        self, tables: TffTables, parse: Callable[[bytes], Any], classes: int | None
    ) -> None:
        self._tables = tables
        self._parse = parse
        self._class_count = classes
        self._features: Features | None = None
        self.classes: tuple[str, ...] = ()
        self.input_shape: tuple[int, ...] = ()
        self.label_shape: tuple[int, ...] = ()

    def parts(self) -> Iterator[Part]:
        """One part a client and split; text is read to count its windows."""
        for part in self._tables.parts():
            if self._features is None and part.size:
                self._features = self._learn(part)
            if self._features is not None and self._features.y is None:
                sizes = map(len, self._snippets(part))
                part = part._replace(size=sum(map(text.window_count, sizes)))
            yield part
        if self._features is not None:
            most = self._highest_label(self._features)
            check_label_range(most, most)
            self.classes = class_names(self._features, self.input_shape, most)

    def _learn(self, part: Part) -> Features:
        """Takes names and shapes from the first example."""
        examples = self._examples(part)
        if not examples:
            raise DataError(f"has no examples of client {part.client!r}: get it again")
        features = find_features(examples[0])
        self._features = features
        if features.y is None:
            self.input_shape = self.label_shape = (text.WINDOW,)
        else:
            self.input_shape = self._read(part).x.shape[1:]
        return features

    def _highest_label(self, features: Features) -> int:
        if features.y is None:
            return 0
        if self._class_count is not None:
            return self._class_count - 1
        if self.input_shape == (28, 28):
            digits = all("digits" in name for name, _ in self._tables.splits)
            return 9 if digits else 61
        most = 0
        for proto in self._tables.every_proto():
            most = max([most, *self._parse(proto)[features.y].int64_list.value])
        return most

    def read(self, parts: Sequence[Part]) -> Examples:
        """Reads a client's protos."""
        several = [self._read(part) for part in parts]
        return Examples(*(np.concatenate(a) for a in zip(*several, strict=True)))

    def _read(self, part: Part) -> Examples:
        assert self._features is not None
        if self._features.y is None:
            return text.windows(self._snippets(part))
        examples = self._examples(part)
        y = _stack(examples, self._features.y)
        if y.dtype.kind not in "iu" or y.shape[1:] != (1,):
            raise DataError(f"feature {self._features.y} is not one integer an example")
        x = as_inputs(_stack(examples, self._features.x))
        return Examples(x, y[:, 0].astype(np.int32))

    def _snippets(self, part: Part) -> list[bytes]:
        texts = [_values(e, SNIPPETS) for e in self._examples(part)]
        if not all(len(t) == 1 and isinstance(t[0], bytes) for t in texts):
            raise DataError(f"feature {SNIPPETS} is not one string an example")
        return [t[0] for t in texts]

    def _examples(self, part: Part) -> list[Any]:
        """The features of each example: a mapping from names to tf.train.Feature."""
        try:
            protos = self._tables.protos(part)
            return [self._parse(proto) for proto in protos]
        except DataError as error:
            raise DataError(f"example of client {part.client!r}: {error}") from error

    def close(self) -> None:
        """Gives the file back; harmless when repeated."""
        self._tables.close()


def _example_parser(path: str | os.PathLike[str]) -> Callable[[bytes], Any]:
    """A function from a proto's bytes to its features."""
    try:
        import tensorflow as tf
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} holds TensorFlow's protos, and TensorFlow is not installed: run "
            "`make .venv/installed`, or convert it to .npz"
        ) from error

    def parse(proto: bytes) -> Any:
        try:
            return tf.train.Example.FromString(proto).features.feature
        except (DecodeError, TypeError) as error:
            raise DataError(f"is no tf.train.Example ({error})") from error

    return parse


def _values(features: Any, name: str) -> Any:
    """The flat list that a feature holds, of one of three kinds; empty if it lacks."""
    kind = features[name].WhichOneof("kind") if name in features else None
    return getattr(features[name], kind).value if kind else []


def _stack(examples: list[Any], name: str) -> np.ndarray:
    """One feature of several examples: [n, length]."""
    rows = [_values(features, name) for features in examples]
    sizes = {len(row) for row in rows}
    if len(sizes) != 1 or 0 in sizes:
        raise DataError(f"feature {name} has {sorted(sizes)} values; all need as many")
    # Protos hold float32 and int64; NumPy would make float64 of Python's numbers.
    kind = np.float32 if isinstance(rows[0][0], float) else None
    return np.array([list(row) for row in rows], kind)
