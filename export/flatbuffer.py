"""All knowledge of the TFLite file format: list the ops, embed the manifest."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from fedp.device_runtime import artifact_file, contract
from fedp.device_runtime.errors import ExportError

_ALIGNMENT = 16  # schema.fbs: Buffer.data is force_align: 16
_OP_NAMES = {
    number: name
    for name, number in vars(schema.BuiltinOperator).items()
    if not name.startswith("_")
}


def operators(content: bytes) -> dict[str, int]:
    """Counts every operator in every subgraph.

    Raises:
        ExportError: one is custom or Flex, so a stock runtime could not run it.
    """
    model = load(content)
    counts: collections.Counter[str] = collections.Counter()
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            if number == schema.BuiltinOperator.CUSTOM:
                name = (code.customCode or b"?").decode()
                raise ExportError(
                    f"the file holds the op {name}, which stock runtimes lack; only "
                    "builtin ops are allowed: replace the layer it comes from"
                )
            counts[_OP_NAMES[number]] += 1
    return dict(sorted(counts.items()))


def embed(content: bytes, manifest: contract.Manifest) -> bytes:
    """Puts the manifest into the file, with the hash of the whole."""
    model = load(content)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(manifest.to_json(), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = contract.MANIFEST_METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [
        m for m in model.metadata or [] if m.name != contract.MANIFEST_METADATA.encode()
    ] + [entry]
    model.description = b"fedp artifact: trainable signatures, builtin ops only"
    packed = pack(model)
    begin, _ = artifact_file.find_manifest(packed)
    hashed = dataclasses.replace(
        manifest, sha256=artifact_file.file_hash(packed, begin)
    )
    text = hashed.to_json()
    return packed[:begin] + text + packed[begin + len(text) :]


def load(content: bytes) -> Any:
    """The file as the schema's objects."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def _bytes(buffer: Any) -> bytes:
    return np.asarray(buffer.data, np.uint8).tobytes()


def pack(model: Any) -> bytes:
    """Serialises such objects, with constants aligned as the schema asks.

    The generated Python ignores `force_align`, so buffers pack themselves here.
    """
    for buffer in model.buffers:
        buffer.Pack = _aligned(buffer)
    builder = _Sharing(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Sharing(flatbuffers.Builder):
    """Writes equal vectors, such as the shapes of many tensors, once."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._vectors: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        """Offset of a vector with these numbers."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._vectors:
            self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]


def slim(model: Any) -> None:
    """Takes out what says nothing: a buffer for each tensor without constant data.

    An unrolled model has thousands of them.
    """
    kept = {0: 0}
    buffers = [model.buffers[0]]
    holders = [t for graph in model.subgraphs for t in graph.tensors]
    for holder in [*holders, *(model.metadata or [])]:
        data = model.buffers[holder.buffer].data
        if data is None or not len(data):
            holder.buffer = 0
        elif holder.buffer not in kept:
            kept[holder.buffer] = len(buffers)
            buffers.append(model.buffers[holder.buffer])
        holder.buffer = kept[holder.buffer]
    for tensor in holders:
        if _says_nothing(tensor.quantization):
            tensor.quantization = None
    model.buffers = buffers


def _says_nothing(quantization: Any) -> bool:
    fields = ("scale", "zeroPoint", "min", "max", "details")
    found = [getattr(quantization, field, None) for field in fields]
    return all(value is None or not np.size(value) for value in found)


def _aligned(buffer: Any) -> Any:
    def pack(builder: flatbuffers.Builder) -> int:
        data = None
        if buffer.data is not None and len(buffer.data):
            raw = _bytes(buffer)
            builder.StartVector(1, len(raw), _ALIGNMENT)
            builder.head = builder.head - len(raw)
            builder.Bytes[builder.head : builder.head + len(raw)] = raw
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))

    return pack
