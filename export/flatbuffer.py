"""All knowledge of the TFLite file format: list ops and constants, embed, pack."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from fedp.device_runtime import artifact_file, contract
from fedp.device_runtime.errors import ExportError

_ALIGNMENT = 16  # schema.fbs: Buffer.data is force_align: 16
# Of the options of CALL_ONCE, IF and WHILE: the subgraphs they run.
_SUBGRAPH_FIELDS = (
    "initSubgraphIndex",
    "thenSubgraphIndex",
    "elseSubgraphIndex",
    "condSubgraphIndex",
    "bodySubgraphIndex",
)
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
            number = _number(code)
            if number == schema.BuiltinOperator.CUSTOM:
                name = (code.customCode or b"?").decode()
                raise ExportError(
                    f"the file holds the op {name}, which stock runtimes lack; only "
                    "builtin ops are allowed: replace the layer it comes from"
                )
            counts[_OP_NAMES[number]] += 1
    return dict(sorted(counts.items()))


def operator_name(model: Any, operator: Any) -> str:
    """Name of an operator's builtin, such as "CONV_2D"."""
    return str(_OP_NAMES[_number(model.operatorCodes[operator.opcodeIndex])])


def _number(code: Any) -> int:
    # Files for old runtimes hold it in the deprecated field alone.
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


class Constant(NamedTuple):
    """A buffer of a file and the first tensor that is made of it.

    Attributes:
        buffer: its number in the file.
        shape: of the tensor.
        is_float32: whether those are its numbers.
        is_float16: likewise.
        data: its bytes.
    """

    buffer: int
    shape: tuple[int, ...]
    is_float32: bool
    is_float16: bool
    data: bytes


def constants(content: bytes) -> list[Constant]:
    """All buffers that tensors are made of, in the order of the file."""
    model = load(content)
    found: dict[int, Constant] = {}
    for tensor in (t for graph in model.subgraphs for t in graph.tensors):
        number, data = tensor.buffer, model.buffers[tensor.buffer].data
        if number in found or data is None or not len(data):
            continue
        shape = () if tensor.shape is None else tuple(map(int, tensor.shape))
        single, half = (
            tensor.type == kind
            for kind in (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
        )
        data = _bytes(model.buffers[number])
        found[number] = Constant(number, shape, single, half, data)
    return [found[number] for number in sorted(found)]


def hold(content: bytes, values: Mapping[str, np.ndarray]) -> bytes:
    """Makes constants of some inputs of a file with one signature; packs it.

    Args:
        content: the file.
        values: of the inputs, by their names in the signature.
    """
    model = load(content)
    (signature,), graph = model.signatureDefs, model.subgraphs[0]
    for entry in signature.inputs:
        name = entry.name.decode()
        if name in values:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values[name].tobytes(), np.uint8)
            graph.tensors[entry.tensorIndex].buffer = len(model.buffers)
            model.buffers.append(buffer)
            graph.inputs = [i for i in graph.inputs if i != entry.tensorIndex]
    signature.inputs = [i for i in signature.inputs if i.name.decode() not in values]
    return pack(model)


def embed(
    content: bytes,
    manifest: contract.Manifest,
    entries: Mapping[str, bytes] | None = None,
) -> bytes:
    """Puts the manifest into the file, with the hash of the whole.

    Args:
        content: the file; its buffers keep their numbers.
        manifest: what the entry `fedp_manifest` says.
        entries: further metadata by name.
    """
    model = load(content)
    added = {**(entries or {}), contract.MANIFEST_METADATA: manifest.to_json()}
    metadata = [m for m in model.metadata or [] if m.name.decode() not in added]
    for name, text in added.items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(text, np.uint8)
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        metadata.append(entry)
    model.metadata = metadata
    model.description = b"fedp artifact: trainable signatures, builtin ops only"
    return artifact_file.seal(pack(model))


def lead_with(content: bytes, signature: str) -> bytes:
    """Makes a signature's subgraph the first one."""
    model = load(content)
    wanted = next(
        s for s in model.signatureDefs if s.signatureKey.decode() == signature
    )
    moved = {0: wanted.subgraphIndex, wanted.subgraphIndex: 0}
    graphs = list(model.subgraphs)
    model.subgraphs = [graphs[moved.get(i, i)] for i in range(len(graphs))]
    for entry in model.signatureDefs:
        entry.subgraphIndex = moved.get(entry.subgraphIndex, entry.subgraphIndex)
    for graph in model.subgraphs:
        for operator in graph.operators:
            for field in _SUBGRAPH_FIELDS:
                index = getattr(operator.builtinOptions, field, None)
                if index is not None:
                    setattr(operator.builtinOptions, field, moved.get(index, index))
    return pack(model)


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
