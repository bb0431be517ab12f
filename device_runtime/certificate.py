"""The parity certificate: what TensorFlow computed in some steps, for devices to check.

One .npz beside the artifact, whose SHA-256 is in the manifest. Its array `certificate`
is JSON text, UTF-8; the others are batches, losses and samples of the weights.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
from typing import Any

import numpy as np

from fedp.device_runtime.contract import NO_HASH, Manifest
from fedp.device_runtime.errors import ArtifactError

SAMPLES = 128  # at most, of each weight
CERTIFICATE_VERSION = 1

# x as 256ths in a byte, where that loses nothing: the exporter draws such inputs.
_SCALE = np.float32(1 / 256)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """S training steps in TensorFlow, each going on from the one before; W weights.

    Attributes:
        x: inputs [S, B, *input_shape], as the model takes them.
        y: labels [S, B, *label_shape].
        weight: of each example, float32 [S, B].
        losses: TensorFlow's, before each step, float32 [S].
        moved: how far each step moved each weight's entries, the largest of all
            entries, float32 [S, W].
        positions: which entries of each flattened weight are sampled, int32 [k], in
            the manifest's order.
        samples: these entries at the start and after each step, float32 [S+1, k].
        learning_rate: of the steps.
        random: the steps draw random numbers, so that each needs a fresh interpreter.
        seed: of batches and positions.
        tensorflow: its version.
        lowering: version of the table of lowerings.
        interpreters: what the exporter measured, by kind of interpreter: `version`,
            and `Parity` fields, among them the largest differences of each weight.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    losses: np.ndarray
    moved: np.ndarray
    positions: tuple[np.ndarray, ...]
    samples: tuple[np.ndarray, ...]
    learning_rate: float
    random: bool
    seed: int
    tensorflow: str
    lowering: str
    interpreters: dict[str, Any]

    def first(self, steps: int) -> Certificate:
        """Of the first steps alone."""
        return dataclasses.replace(
            self,
            **{name: getattr(self, name)[:steps] for name in _ARRAYS},
            samples=tuple(values[: steps + 1] for values in self.samples),
        )

    def to_bytes(self) -> bytes:
        """The file; the same certificate gives the same bytes at any time."""
        facts = {name: getattr(self, name) for name in _FACTS}
        text = json.dumps({"version": CERTIFICATE_VERSION, **facts})
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays["x"] = _compact(self.x)
        for number, (at, values) in enumerate(
            zip(self.positions, self.samples, strict=True)
        ):
            arrays |= {f"positions_w{number}": at, f"samples_w{number}": values}
        file = io.BytesIO()
        # NumPy dates every member 1980, so no clock gets into the bytes.
        np.savez_compressed(
            file, certificate=np.frombuffer(text.encode(), np.uint8), **arrays
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, manifest: Manifest) -> Certificate:
        """Reads what `to_bytes` gave.

        Raises:
            ArtifactError: it is no certificate, or does not fit the model.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                facts = json.loads(file["certificate"].tobytes())
                if facts["version"] != CERTIFICATE_VERSION:
                    raise ArtifactError(
                        f"is of version {facts['version']!r}, this runtime reads "
                        f"{CERTIFICATE_VERSION}: install the fedp release that wrote it"
                    )
                arrays = {name: file[name] for name in _ARRAYS}
                arrays["x"] = _expand(arrays["x"])
                names = [spec.name for spec in manifest.weights]
                found = cls(
                    **arrays,
                    positions=tuple(file[f"positions_{name}"] for name in names),
                    samples=tuple(file[f"samples_{name}"] for name in names),
                    **{name: facts[name] for name in _FACTS},
                )
                found._check(manifest)
        except ArtifactError:
            raise
        # Whoever forges a file makes NumPy and zipfile raise whatever they have.
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ArtifactError(f"cannot be read ({what}): export again") from error
        return found

    def _check(self, manifest: Manifest) -> None:
        """Nothing that does not fit may reach an interpreter."""
        steps, size = len(self.losses), manifest.batch_size
        weights = len(manifest.weights)
        labels = manifest.labels
        wanted = {
            "x": (manifest.input_dtype, (steps, size, *manifest.input_shape)),
            "y": (labels.dtype, (steps, size, *labels.shape)),
            "weight": ("float32", (steps, size)),
            "losses": ("float32", (max(steps, 1),)),
            "moved": ("float32", (steps, weights)),
        }
        for name, (dtype, shape) in wanted.items():
            array = getattr(self, name)
            if (array.dtype.name, array.shape) != (dtype, shape):
                raise _misfit(f"{name} is {array.dtype.name} {list(array.shape)}")
        for spec, at, values in zip(
            manifest.weights, self.positions, self.samples, strict=True
        ):
            if at.dtype != np.int32 or at.ndim != 1 or not _within(at, spec.size):
                raise _misfit(f"the positions in {spec.name} are not in it")
            if values.dtype != np.float32 or values.shape != (steps + 1, len(at)):
                raise _misfit(f"the samples of {spec.name} are not of its steps")
        if labels.are_classes and not _within(self.y + 1, len(manifest.classes) + 1):
            raise _misfit("a label is none of its classes")
        if manifest.tokens and not _within(self.x, manifest.tokens):
            raise _misfit("a token is none of its tokens")
        rate = self.learning_rate
        if not isinstance(rate, float) or not np.isfinite(rate):
            raise _misfit(f"the learning rate is {rate!r}")
        if not isinstance(self.random, bool):
            raise _misfit(f"`random` is {self.random!r}")


_FACTS = (
    "seed",
    "learning_rate",
    "random",
    "tensorflow",
    "lowering",
    "interpreters",
)
_ARRAYS = ("x", "y", "weight", "losses", "moved")


def certificate_path(artifact: str | pathlib.Path) -> pathlib.Path:
    """Where the certificate of an artifact is: beside it, with a longer name."""
    artifact = pathlib.Path(artifact)
    return artifact.with_name(f"{artifact.name}.certificate.npz")


def digest(content: bytes) -> str:
    """SHA-256 of a certificate's file, in hex, as the manifest has it."""
    return hashlib.sha256(content).hexdigest()


def read_certificate(path: pathlib.Path, manifest: Manifest) -> Certificate:
    """Reads the certificate that was made with an artifact.

    Raises:
        ArtifactError: no such file, a changed byte, or another artifact's.
    """
    if manifest.certificate == NO_HASH:
        raise ArtifactError(
            "the artifact was exported without a certificate: export it again"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"certificate {path}: {error.strerror or error}; it is expected beside the "
            "artifact: copy what `fedp export` wrote there, or give --certificate"
        ) from error
    found = digest(content)
    if found != manifest.certificate:
        raise ArtifactError(
            f"certificate {path} has SHA-256 {found[:12]}..., the artifact's has "
            f"{manifest.certificate[:12]}...: it is damaged, or another artifact's; "
            "copy the two together"
        )
    try:
        return Certificate.from_bytes(content, manifest)
    except ArtifactError as error:
        raise ArtifactError(f"certificate {path} {error}") from error


def _misfit(what: str) -> ArtifactError:
    return ArtifactError(f"does not fit the artifact's model ({what}): export again")


def _within(numbers: np.ndarray, count: int) -> bool:
    """Whether all are in 0..count-1."""
    return not numbers.size or bool(0 <= numbers.min() and numbers.max() < count)


def _compact(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.float32:
        return x
    with np.errstate(over="ignore", invalid="ignore"):
        small = np.clip(np.nan_to_num(x / _SCALE), 0, 255).astype(np.uint8)
    return small if (_expand(small) == x).all() else x


def _expand(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) * _SCALE if x.dtype == np.uint8 else x
