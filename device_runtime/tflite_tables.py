"""What a TFLite flatbuffer says about itself, read without any package.

Only of files whose hash has been checked, see `read_artifact`.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from fedp.device_runtime import offsets

# Numbers of the TFLite schema, schema.fbs.
_TYPES = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    9: "int8",
}


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output.

    Attributes:
        name: in the signature.
        shape: -1 for any number.
        dtype: such as "float32".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class SignatureInfo:
    """A signature.

    Attributes:
        name: its key.
        inputs: by name.
        outputs: by name.
        operators: how many it runs.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: int


class _Table:
    """A table of the flatbuffer; fields are counted as in the schema."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at

    def tables(self, field: int) -> list[_Table]:
        """A vector of tables."""
        if not self._has(field):
            return []
        found = offsets.vector(self._content, self._at, field)
        return [_Table(self._content, at) for at in found]

    def numbers(self, field: int) -> tuple[int, ...]:
        """A vector of int32."""
        count = self.length(field)
        if not count:
            return ()
        start = self._start(field) + 4
        return struct.unpack_from(f"<{count}i", self._content, start)

    def text(self, field: int) -> str:
        """A string."""
        return offsets.string(self._content, self._at, field).decode()

    def length(self, field: int) -> int:
        """How many items a vector has."""
        if not self._has(field):
            return 0
        return offsets.u32(self._content, self._start(field))

    def number(self, field: int, layout: str) -> int:
        """A number; 0 where it is left out."""
        if not self._has(field):
            return 0
        at = offsets.field(self._content, self._at, field)
        return int(struct.unpack_from(layout, self._content, at)[0])

    def _start(self, field: int) -> int:
        at = offsets.field(self._content, self._at, field)
        return at + offsets.u32(self._content, at)

    def _has(self, field: int) -> bool:
        try:
            offsets.field(self._content, self._at, field)
        except KeyError:
            return False
        return True


def _model(content: bytes) -> _Table:
    return _Table(content, offsets.u32(content, 0))


def signatures(content: bytes) -> tuple[SignatureInfo, ...]:
    """The file's signatures, by name."""
    model = _model(content)
    graphs = model.tables(2)
    found = []
    for entry in model.tables(7):
        graph = graphs[entry.number(4, "<I")]
        tensors = graph.tables(0)
        inputs, outputs = (tuple(_named(entry, part, tensors)) for part in (0, 1))
        operators = len(graph.tables(3))
        found.append(SignatureInfo(entry.text(2), inputs, outputs, operators))
    return tuple(sorted(found, key=lambda signature: signature.name))


def _named(entry: _Table, field: int, tensors: list[_Table]) -> Iterator[TensorInfo]:
    for pair in entry.tables(field):
        tensor = tensors[pair.number(1, "<I")]
        # Where a dimension is open, `shape` holds 1 in its place.
        shape = tensor.numbers(7) or tensor.numbers(0)
        kind = tensor.number(1, "<b")
        yield TensorInfo(pair.text(0), shape, _TYPES.get(kind, f"type {kind}"))


def sizes(content: bytes) -> dict[str, int]:
    """Bytes of the file by what they are: constants, each metadata entry, the rest."""
    model = _model(content)
    buffers = [buffer.length(0) for buffer in model.tables(4)]
    entries = {entry.text(0): entry.number(1, "<I") for entry in model.tables(6)}
    metadata = {name: buffers[index] for name, index in entries.items()}
    constants = sum(buffers) - sum(metadata.values())
    graph = len(content) - sum(buffers)
    return {"constants": constants, **metadata, "graph": graph}
