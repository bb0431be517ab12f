"""Keras model in, proved artifact out: lower, convert, check, embed the manifest."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from fedp.device_runtime import artifact_file, contract
from fedp.device_runtime.certificate import certificate_path, digest
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.whole_file import write_whole
from fedp.export import constants, conversion, flatbuffer
from fedp.export.certification import certify
from fedp.export.cost import cost_of
from fedp.export.delegation import partitions
from fedp.export.device_optimizers import device_optimizer
from fedp.export.forward import frozen_statistics
from fedp.export.losses import Loss, loss_for
from fedp.export.lowering.table import TABLE_VERSION
from fedp.export.parity import Parity, check_parity
from fedp.export.reference import Reference, random_batches
from fedp.export.refusals import check_model
from fedp.export.rounding import rounded
from fedp.export.signatures import ArtifactModule, weight_specs
from fedp.export.skeleton import skeleton_entry
from fedp.export.token_count import token_count
from fedp.export.trainable import Parts, parts_of
from fedp.training.models import takes_tokens

# A training graph in one piece takes 8 ms where one that is not delegated takes 176.
_FEW_PARTITIONS = 16


@dataclasses.dataclass(frozen=True)
class Export:
    """A finished artifact.

    Attributes:
        content: the file's bytes.
        manifest: what is embedded in it.
        parity: the measured difference to TensorFlow, by interpreter.
        certificate: the file to put beside it, see `Certificate`.
    """

    content: bytes
    manifest: contract.Manifest
    parity: list[Parity]
    certificate: bytes

    def signed(self, sign: Callable[[bytes], bytes]) -> Export:
        """The same artifact with a signature, so with another hash.

        Args:
            sign: gives 64 bytes for a message, as `Ed25519PrivateKey.sign` does.
        """
        content = artifact_file.seal(self.content, sign)
        manifest = artifact_file.parse_artifact(content)
        return dataclasses.replace(self, content=content, manifest=manifest)


@dataclasses.dataclass(frozen=True)
class Target:
    """How a model is to train on devices.

    Attributes:
        batch_size: of a training step; the file takes any batch.
        fixed_batch: it takes that batch alone, for hosts that need fixed shapes.
        client_optimizer: "sgd", "momentum" or "adam".
        optimizer_settings: its constants, where they are not the defaults.
        initial_weights: how the file holds them: "float32", or "float16" in half the
            bytes.
        policy: how devices adapt and decide, and what trains.
    """

    batch_size: int = 20
    fixed_batch: bool = False
    client_optimizer: str = "sgd"
    optimizer_settings: dict[str, float] = dataclasses.field(default_factory=dict)
    initial_weights: str = "float32"
    policy: contract.Policy = contract.Policy()


def export_model(
    model: tf.keras.Model,
    *,
    name: str,
    classes: Sequence[str],
    loss: str = contract.CROSS_ENTROPY,
    target: Target | None = None,
    client_split: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
    parity_steps: int = 10,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Export:
    """Turns a trained Keras model into an artifact that trains on a device.

    Args:
        model: functional or Sequential; one float32 or int32 input [n, ...], one
            output [n, ..., C]: logits or probabilities.
        name: the builder's name, for people.
        classes: label of each of the C classes.
        loss: one of `contract.LOSSES`.
        target: how it is to train.
        client_split: `ClientSplit` fields, so that an evaluation knows whom to spare.
        provenance: where the weights come from.
        parity_steps: training steps compared with TensorFlow.
        seed: of the parity check's inputs.
        report: is told what is being done, a line each.

    Raises:
        ExportError: an op has no lowering, or the file does not compute what
            TensorFlow computes.
    """
    target = target or Target()
    check_model(model)
    rule = loss_for(model, loss)
    if len(classes) != rule.classes:
        raise ExportError(
            f"{len(classes)} class labels for a model with {rule.classes}: give one "
            "label a class"
        )
    with rounded(model, target.initial_weights):
        report("lowering and converting the training graph")
        parts = parts_of(model, target.policy.trainable)
        content, manifest = _convert(parts, rule, target)
        manifest = dataclasses.replace(
            manifest,
            model=name,
            classes=tuple(classes),
            client_split=client_split or {},
            provenance={**(provenance or {}), "versions": _versions()},
        )
        for note in manifest.notes:
            report(f"note: {note}")
        report(f"comparing {parity_steps} steps with TensorFlow")
        parity, certificate = _proof(parts, rule, content, manifest, parity_steps, seed)
        skeleton = skeleton_entry(parts, rule, content, report)
    manifest = dataclasses.replace(
        manifest,
        parity={p.interpreter: p.to_json() for p in parity},
        certificate=digest(certificate),
        cost=cost_of(content, manifest).to_json(),
    )
    content = flatbuffer.embed(content, manifest, skeleton)
    found = artifact_file.parse_artifact(content)
    return Export(content, found, parity, certificate)


def _convert(
    parts: Parts, loss: Loss, target: Target
) -> tuple[bytes, contract.Manifest]:
    """The file, and what can be said of it without knowing where it comes from."""
    optimizer = device_optimizer(target.client_optimizer, target.optimizer_settings)
    batch = target.batch_size if target.fixed_batch else None
    content = conversion.convert(ArtifactModule(parts, loss, optimizer, batch))
    content = constants.shrink(content, halves=target.initial_weights == "float16")
    specs = weight_specs(parts)
    manifest = contract.Manifest(
        model="",
        classes=(),
        labels=loss.labels,
        weights=specs,
        slots=optimizer.slots(specs),
        batch_size=target.batch_size,
        fixed_batch=target.fixed_batch,
        client_optimizer=optimizer.name,
        optimizer_settings=optimizer.settings,
        initial_weights=target.initial_weights,
        policy=target.policy,
        ops=flatbuffer.operators(content),
        notes=tuple(_notes(parts.model, content)),
        **_of_model(parts),
    )
    return content, manifest


def _notes(model: tf.keras.Model, content: bytes) -> Iterator[str]:
    """What people should know before they ship the file, a sentence each."""
    still = frozen_statistics(model)
    if still:
        yield (
            f"the moving statistics of {', '.join(still)} stay as they were when "
            "training ended"
        )
    pieces = partitions(content)
    if pieces is not None and not 1 <= pieces <= _FEW_PARTITIONS:
        yield (
            f"XNNPACK takes the training graph in {pieces} pieces on ai_edge_litert: a "
            "step may take several times as long as it could"
        )


def _of_model(parts: Parts) -> dict[str, Any]:
    """Manifest fields that say what the model takes, and what of it is frozen."""
    model = parts.model
    return {
        "input_shape": tuple(model.input_shape[1:]),
        "input_dtype": "int32" if takes_tokens(model) else "float32",
        "tokens": token_count(model),
        "frozen": tuple(v.name for v in parts.frozen),
        "features_shape": parts.features_shape,
    }


def _proof(
    parts: Parts,
    loss: Loss,
    content: bytes,
    manifest: contract.Manifest,
    steps: int,
    seed: int,
) -> tuple[list[Parity], bytes]:
    """Compares the file with TensorFlow, and makes the certificate of that."""
    reference = Reference(
        parts,
        loss,
        manifest.policy.learning_rate,
        manifest.client_optimizer,
        manifest.optimizer_settings,
    )
    batches = random_batches(manifest, steps, seed)
    trajectory = reference.trajectory(batches)
    parity = check_parity(reference, content, manifest, batches, trajectory)
    certificate = certify(
        manifest, content, reference, batches, trajectory, parity, seed
    )
    return parity, certificate.to_bytes()


def check_place(out: pathlib.Path, *inputs: pathlib.Path) -> None:
    """Finds out before long work whether a file, and its certificate, can be put there.

    Args:
        out: where the artifact is to go.
        inputs: what it is made of, and must not be written over.

    Raises:
        ExportError: it is a directory, or in none that exists and may be written to, or
            one of the inputs.
    """
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise ExportError(
            f"{out} cannot be written: give an --out that is a file in a directory "
            "that exists and that you may write to"
        )
    for place in (out, certificate_path(out)):
        for taken in inputs:
            if place.exists() and taken.exists() and place.samefile(taken):
                raise ExportError(
                    f"{place} would be written over {taken}, which the export reads: "
                    "choose another --out"
                )


def write_artifact(
    content: bytes, out: str | pathlib.Path, certificate: bytes | None = None
) -> None:
    """Writes the certificate, then the artifact, each whole or not at all.

    Raises:
        ExportError: the place cannot be written.
    """
    out = pathlib.Path(out)
    check_place(out)
    if certificate is not None:
        _write(certificate_path(out), certificate)
    _write(out, content)


def _write(path: pathlib.Path, content: bytes) -> None:
    try:
        write_whole(path, lambda file: file.write(content))
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written ({error.strerror}): choose another --out"
        ) from error


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "fedp")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {**found, "lowering": str(TABLE_VERSION)}
