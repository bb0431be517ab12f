"""Keras model in, proved artifact out: lower, convert, check, embed the manifest."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.whole_file import write_whole
from fedp.export import conversion, flatbuffer
from fedp.export.lowering.table import TABLE_VERSION
from fedp.export.parity import Parity, check_parity
from fedp.export.signatures import ArtifactModule
from fedp.export.skeleton import skeleton_entry


@dataclasses.dataclass(frozen=True)
class Export:
    """A finished artifact.

    Attributes:
        content: the file's bytes.
        manifest: what is embedded in it.
        parity: the measured difference to TensorFlow, by interpreter.
    """

    content: bytes
    manifest: contract.Manifest
    parity: list[Parity]


def export_model(
    model: tf.keras.Model,
    *,
    name: str,
    classes: Sequence[str],
    loss: Callable[..., tf.Tensor],
    ends_in_softmax: bool,
    batch_size: int = 20,
    policy: contract.Policy | None = None,
    client_split: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
    parity_steps: int = 10,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Export:
    """Turns a trained Keras model into an artifact that trains on a device.

    Args:
        model: one float32 input [n, ...], one output [n, C].
        name: the builder's name, for people.
        classes: label of each of the C classes.
        loss: (labels int32 [n], output [n, C]) to per-example loss [n].
        ends_in_softmax: the output is probabilities, not logits.
        batch_size: of a training step on the device; the file takes any batch.
        policy: how devices adapt and decide.
        client_split: `ClientSplit` fields, so that an evaluation knows whom to spare.
        provenance: where the weights come from.
        parity_steps: training steps compared with TensorFlow.
        seed: of the parity check's inputs.
        report: is told what is being done, a line each.

    Raises:
        ExportError: an op has no lowering, or the file does not compute what
            TensorFlow computes.
    """
    policy = policy or contract.Policy()
    report("lowering and converting the training graph")
    module = ArtifactModule(model, loss, ends_in_softmax)
    content = conversion.convert(module)
    manifest = contract.Manifest(
        model=name,
        input_shape=tuple(model.input_shape[1:]),
        batch_size=batch_size,
        classes=tuple(classes),
        weights=tuple(
            contract.WeightSpec(f"w{i}", v.name, tuple(v.shape))
            for i, v in enumerate(model.trainable_variables)
        ),
        policy=policy,
        client_split=client_split or {},
        provenance={**(provenance or {}), "versions": _versions()},
        ops=flatbuffer.operators(content),
    )
    report(f"comparing {parity_steps} steps with TensorFlow")
    parity = check_parity(
        model,
        loss,
        content,
        manifest,
        steps=parity_steps,
        learning_rate=policy.learning_rate,
        seed=seed,
    )
    manifest = dataclasses.replace(
        manifest, parity={p.interpreter: p.to_json() for p in parity}
    )
    skeleton = skeleton_entry(model, not ends_in_softmax, content, report)
    content = flatbuffer.embed(content, manifest, skeleton)
    begin, end = contract.find_manifest(content)
    return Export(content, contract.Manifest.from_json(content[begin:end]), parity)


def check_place(out: pathlib.Path) -> None:
    """Finds out before long work whether a file can be put there.

    Raises:
        ExportError: it is a directory, or in none that exists and may be written to.
    """
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise ExportError(
            f"{out} cannot be written: give an --out that is a file in a directory "
            "that exists and that you may write to"
        )


def write_artifact(content: bytes, out: str | pathlib.Path) -> None:
    """Writes the file whole or not at all.

    Raises:
        ExportError: the place cannot be written.
    """
    out = pathlib.Path(out)
    check_place(out)
    try:
        write_whole(out, lambda file: file.write(content))
    except OSError as error:
        raise ExportError(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from error


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "fedp")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {**found, "lowering": str(TABLE_VERSION)}
