"""`fedp inspect`: all that an artifact says about itself, for programs and people."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.signing import PublicKey
from fedp.device_runtime.tflite_tables import SignatureInfo, TensorInfo, signatures
from fedp.device_runtime.tflite_tables import sizes as file_sizes

Row = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Inspection:
    """An artifact, whole and unchanged since its export.

    Attributes:
        path: of the file.
        manifest: what is embedded in it.
        signatures: by name.
        sizes: bytes by what they are: "constants", metadata entries by name, "graph".
        signature_checked: the owner of the public key that was given has signed it.
    """

    path: pathlib.Path
    manifest: Manifest
    signatures: tuple[SignatureInfo, ...]
    sizes: dict[str, int]
    signature_checked: bool = False

    @property
    def bytes(self) -> int:
        """The whole file."""
        return sum(self.sizes.values())

    @property
    def weight_bytes(self) -> int:
        """Of the weights that train, as float32."""
        return 4 * sum(math.prod(w.shape) for w in self.manifest.weights)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return {
            "artifact": str(self.path),
            "bytes": self.bytes,
            "sizes": self.sizes,
            "weight_bytes": self.weight_bytes,
            "signed": self.manifest.signed,
            "signature_checked": self.signature_checked,
            "signatures": {s.name: dataclasses.asdict(s) for s in self.signatures},
            "manifest": dataclasses.asdict(self.manifest),
        }


def inspect(
    path: str | pathlib.Path, public_key: PublicKey | None = None
) -> Inspection:
    """Reads an artifact; needs no interpreter.

    Args:
        path: of the file.
        public_key: of whoever must have signed it; None takes any.

    Raises:
        FedpError: see `read_artifact`.
    """
    manifest, content = read_artifact(path, public_key)
    try:
        tables, sizes = signatures(content), file_sizes(content)
    # Without a key, anyone may have made the file, and its hash too.
    except (struct.error, LookupError, ValueError) as error:
        raise ArtifactError(
            f"artifact {path}: its structure is damaged ({repr(error)[:200]}): get it "
            "again from whoever exported it"
        ) from error
    checked = public_key is not None
    return Inspection(pathlib.Path(path), manifest, tables, sizes, checked)


def sections(found: Inspection) -> Iterator[tuple[str, list[Row]]]:
    """Headed tables for people, those with nothing to say left out."""
    tables: dict[str, list[Row]] = {
        "": _overview(found),
        "signatures (n: any number of examples)": _signatures(found.signatures),
        "cost, estimated at export": _cost(found.manifest.cost),
        "policy": _pairs(dataclasses.asdict(found.manifest.policy)),
        "parity with TensorFlow": _parity(found.manifest.parity),
        "provenance": _pairs(found.manifest.provenance),
        "file": [(name, _size(count)) for name, count in found.sizes.items()],
        "operators": [(name, str(n)) for name, n in found.manifest.ops.items()],
        "what differs on a device": [(note,) for note in found.manifest.notes],
    }
    return ((heading, rows) for heading, rows in tables.items() if rows)


def _overview(found: Inspection) -> list[Row]:
    manifest = found.manifest
    settings = ", ".join(f"{k} {v:g}" for k, v in manifest.optimizer_settings.items())
    batch = f"{manifest.batch_size}" + (" and no other" if manifest.fixed_batch else "")
    tokens = f", tokens 0..{manifest.tokens - 1}" if manifest.tokens else ""
    frozen = ", ".join(manifest.frozen) or "nothing"
    if manifest.features_shape is not None:
        frozen += f" (gives features {_shape(manifest.features_shape)})"
    labels = manifest.labels
    return [
        ("artifact", f"{found.path}, {_size(found.bytes)}"),
        ("sha256", manifest.sha256),
        ("signed", _signed(found)),
        ("model", manifest.model),
        ("input", f"{_shape(manifest.input_shape)} {manifest.input_dtype}{tokens}"),
        ("labels", f"{_shape(labels.shape)} {labels.dtype}, {labels.loss}"),
        ("classes", _few(manifest.classes)),
        ("trains", f"{_size(found.weight_bytes)} in {len(manifest.weights)} weights"),
        ("frozen", frozen),
        (
            "optimizer",
            manifest.client_optimizer + (f" ({settings})" if settings else ""),
        ),
        ("batch", batch),
        ("initial weights", manifest.initial_weights),
        ("contract", str(manifest.contract)),
    ]


def _signed(found: Inspection) -> str:
    if found.signature_checked:
        return "yes, by this key"
    if found.manifest.signed:
        return "claims to be signed (not checked: give --public-key)"
    return "no"


def _few(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
    return f"{len(classes)}: {shown}"


def _signatures(found: tuple[SignatureInfo, ...]) -> list[Row]:
    rows: list[Row] = [("signature", "inputs", "outputs", "ops")]
    for each in found:
        sides = (_tensors(each.inputs), _tensors(each.outputs))
        rows.append((each.name, *sides, str(each.operators)))
    return rows


def _tensors(tensors: tuple[TensorInfo, ...]) -> str:
    shown = [f"{t.name} {_shape(t.shape)}" + _unusual(t.dtype) for t in tensors]
    return ", ".join(shown[:4]) + (
        f", ... ({len(shown)} in all)" if len(shown) > 4 else ""
    )


def _unusual(dtype: str) -> str:
    return "" if dtype == "float32" else f" {dtype}"


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join('n' if n < 0 else str(n) for n in shape)}]"


def _cost(cost: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for name, entry in cost.get("signatures", {}).items():
        costliest = list(entry["by_op"].items())[:3]
        ops = ", ".join(f"{op} {_number(count)}" for op, count in costliest)
        examples = "1 example" if entry["batch"] == 1 else f"{entry['batch']} examples"
        working = _size(entry["live_bytes"])
        rows.append(
            (
                f"{name}, {examples}",
                f"{_number(entry['flops'])}FLOP ({ops}), at least {working} at work",
            )
        )
    for kind, count in cost.get("training_bytes", {}).items():
        rows.append((f"training process, {kind}", f"about {_size(count)}"))
    return rows


def _parity(parity: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for kind, entry in parity.items():
        worst = max((w["worst"] for w in entry["weights"].values()), default=0.0)
        rows.append(
            (
                kind,
                f"{entry['steps']} steps, largest difference of the loss "
                f"{entry['loss']:.1e}, of a weight {worst:.1e}",
            )
        )
    return rows


def _pairs(fields: Mapping[str, Any], prefix: str = "") -> list[Row]:
    rows: list[Row] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            rows += _pairs(value, f"{prefix}{name}: ")
        else:
            items = value if isinstance(value, list | tuple) else [value]
            rows.append((prefix + name.replace("_", " "), ", ".join(map(str, items))))
    return rows


def _size(count: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if count < 1024 or unit == "MB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


def _number(count: float) -> str:
    for unit in ("", "k", "M", "G"):
        if count < 1000 or unit == "G":
            break
        count /= 1000
    return f"{count:.4g} {unit}"
