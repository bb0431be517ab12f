"""What exporter and device agree on: signature names, the manifest, and its place.

Needs only NumPy and the standard library, so that both ends can import it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import struct
from typing import Any

from fedp.device_runtime.errors import ArtifactError

CONTRACT_VERSION = 1
MANIFEST_METADATA = "fedp_manifest"
SKELETON_METADATA = "fedp_inference"  # see `skeleton`; may be absent

# Signatures. n is any number of examples, C the number of classes; all tensors are
# float32 unless they say int32. No scalar: rank-0 inputs crash the aarch64 wheels.
# Padding to B, the manifest's batch size, is optional; padded rows get weight 0.
TRAIN = "train"  # x [n,...], y int32 [n], weight [n], learning_rate [1] -> loss [1]
EVALUATE = "evaluate"  # x [n,...], y int32 [n] -> loss [n], correct [n]
INFER = "infer"  # x [n,...] -> output [n,C], class probabilities
SAVE = "save"  # unused int32 [1] -> one output a weight
RESTORE = "restore"  # one input a weight -> done [1]
RESET = "reset"  # unused int32 [1] -> done [1]
SIGNATURES = (TRAIN, EVALUATE, INFER, SAVE, RESTORE, RESET)

_NO_HASH = "0" * 64
_HASH_FIELD = re.compile(rb'^\{"sha256":"([0-9a-f]{64})"')


@dataclasses.dataclass(frozen=True)
class WeightSpec:
    """One trainable tensor of the model.

    Attributes:
        name: its name in `save` and `restore`: "w0", "w1", ...
        layer: the Keras variable it came from, such as "conv2d/kernel:0".
        shape: its shape; the dtype is float32.
    """

    name: str
    layer: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Policy:
    """How a device adapts and decides; chosen on validation clients.

    Attributes:
        learning_rate: of the client optimizer.
        epochs: local epochs over the adaptation part.
        hold_out: share of a client's examples kept back as the guard's evidence.
        min_hold_out: fewest hold-out examples on which the guard lets a model live.
        margin: hold-out accuracy (0..1) the personalized model must gain at least.
    """

    learning_rate: float = 0.02
    epochs: int = 5
    hold_out: float = 0.25
    min_hold_out: int = 3
    margin: float = 0.0


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All that a host needs to know about an artifact; rides inside the file.

    Attributes:
        model: name of the Keras builder.
        input_shape: one example's shape, without the batch.
        batch_size: B, examples in a training batch; padding a smaller one is optional.
        classes: label of each class; the length is C.
        weights: the trainable tensors, in the order of `save`.
        client_optimizer: the optimizer inside `train`, such as "sgd".
        policy: how to adapt and decide.
        client_split: `ClientSplit` fields: which clients were for training.
        provenance: data set, stages, rounds, versions, seeds.
        parity: what the exporter measured between TensorFlow and this file.
        ops: builtin operators in the file and how often each occurs.
        contract: version of this agreement.
        sha256: hash of the file, taken with this field as 64 zeros.
    """

    model: str
    input_shape: tuple[int, ...]
    batch_size: int
    classes: tuple[str, ...]
    weights: tuple[WeightSpec, ...]
    client_optimizer: str = "sgd"
    policy: Policy = Policy()
    client_split: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    parity: dict[str, Any] = dataclasses.field(default_factory=dict)
    ops: dict[str, int] = dataclasses.field(default_factory=dict)
    contract: int = CONTRACT_VERSION
    sha256: str = _NO_HASH

    def to_json(self) -> bytes:
        """Returns compact JSON, the hash first, ready to be embedded."""
        fields = dataclasses.asdict(self)
        ordered = {"sha256": fields.pop("sha256"), **fields}
        return json.dumps(ordered, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Parses what `to_json` wrote.

        Raises:
            ArtifactError: fields are missing, or the contract is a newer one.
        """
        try:
            fields = json.loads(text)
            if fields["contract"] != CONTRACT_VERSION:
                raise ArtifactError(
                    f"the artifact speaks contract {fields['contract']}, this runtime "
                    f"{CONTRACT_VERSION}: install the fedp release it was exported with"
                )
            weights = tuple(
                WeightSpec(w["name"], w["layer"], tuple(w["shape"]))
                for w in fields.pop("weights")
            )
            return cls(
                weights=weights,
                policy=Policy(**fields.pop("policy")),
                input_shape=tuple(fields.pop("input_shape")),
                classes=tuple(fields.pop("classes")),
                **fields,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"the artifact's manifest cannot be read ({error!r}): "
                "export the model again"
            ) from error


def read_artifact(path: str | pathlib.Path) -> tuple[Manifest, bytes]:
    """Reads an artifact and proves that no byte of it has changed since its export.

    Returns:
        The manifest, and the whole file for an interpreter.

    Raises:
        ArtifactError: no such file, no TFLite file, no manifest, or a changed byte.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"artifact {path}: {error.strerror or error}; give the path of a .tflite "
            "file that `fedp export` wrote"
        ) from error
    try:
        begin, end = find_manifest(content)
        if file_hash(content, begin) != content[begin + 11 : begin + 75].decode():
            raise ArtifactError(
                "it differs from what was exported (hash mismatch): copy or download "
                "it again"
            )
        return Manifest.from_json(content[begin:end]), content
    except ArtifactError as error:
        raise ArtifactError(f"artifact {path}: {error}") from error


def find_manifest(content: bytes) -> tuple[int, int]:
    """Finds the manifest in a TFLite flatbuffer: begin and end offset, in bytes.

    Follows Model.metadata (field 6) and Model.buffers (field 4) of the TFLite schema,
    with every offset checked, so that a damaged file is an error and never a crash.
    """
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise ArtifactError(
            f"not a TFLite file ({len(content)} bytes, no TFL3 mark): give a file that "
            "`fedp export` wrote"
        )
    try:
        model = _u32(content, 0)
        buffers = _vector(content, model, 4)
        for entry in _vector(content, model, 6):
            if _string(content, entry, 0) == MANIFEST_METADATA.encode():
                index = _u32(content, _field(content, entry, 1))
                field = _field(content, buffers[index], 0)
                begin = field + _u32(content, field) + 4
                end = begin + _u32(content, begin - 4)
                if end <= len(content) and _HASH_FIELD.match(content[begin:end]):
                    return begin, end
                raise ArtifactError("its manifest is cut short: copy it again")
    except KeyError:  # No metadata at all.
        pass
    except (struct.error, IndexError) as error:
        raise ArtifactError(
            "its structure is damaged (cut short?): copy or download it again"
        ) from error
    raise ArtifactError(
        "it has no fedp manifest: only files that `fedp export` wrote can be adapted"
    )


def file_hash(content: bytes, manifest_begin: int) -> str:
    """SHA-256 of the file in hex, with the manifest's own hash field as zeros."""
    field = manifest_begin + len(b'{"sha256":"')
    digest = hashlib.sha256(content[:field])
    digest.update(_NO_HASH.encode())
    digest.update(content[field + 64 :])
    return digest.hexdigest()


def _u32(content: bytes, at: int) -> int:
    if at < 0:
        raise IndexError(at)
    return int(struct.unpack_from("<I", content, at)[0])


def _field(content: bytes, table: int, number: int) -> int:
    """Offset of a table's field; KeyError if the table does not have it."""
    vtable = table - struct.unpack_from("<i", content, table)[0]
    if vtable < 0:
        raise IndexError(vtable)
    if struct.unpack_from("<H", content, vtable)[0] < 6 + 2 * number:
        raise KeyError(number)
    offset = struct.unpack_from("<H", content, vtable + 4 + 2 * number)[0]
    if offset == 0:
        raise KeyError(number)
    return int(table + offset)


def _vector(content: bytes, table: int, number: int) -> list[int]:
    """Offsets of the tables in a vector of tables."""
    field = _field(content, table, number)
    start = field + _u32(content, field)
    count = _u32(content, start)
    if count > len(content) // 4:
        raise IndexError(count)
    slots = range(start + 4, start + 4 + 4 * count, 4)
    return [slot + _u32(content, slot) for slot in slots]


def _string(content: bytes, table: int, number: int) -> bytes:
    field = _field(content, table, number)
    start = field + _u32(content, field)
    return content[start + 4 : start + 4 + _u32(content, start)]
