"""The inference skeleton: a plain TFLite export whose weights are cut out.

A device lays its live weights into the gaps, see `skeleton.py` and `baking.py` in
`device_runtime`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from fedp.device_runtime.baking import bake
from fedp.device_runtime.contract import SKELETON_METADATA
from fedp.device_runtime.errors import ArtifactError, ExportError
from fedp.device_runtime.inference_model import InferenceModel
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.loaded_interpreter import one_line
from fedp.device_runtime.skeleton import Skeleton
from fedp.export.cutting import (
    Probed,
    halves_of,
    initial_buffers,
    probe_graph,
    shared_with,
    without,
)
from fedp.export.inference_graph import (
    Answer,
    InferenceGraph,
    has_loops,
    unrolled,
)
from fedp.export.losses import Loss
from fedp.export.token_count import token_count
from fedp.export.trainable import Parts

# Of a probability, or of the largest number; a misplaced weight costs far more.
_TOLERANCE = 1e-4


class NoSkeletonError(ExportError):
    """The model has no inference skeleton; its message says why."""


def skeleton_entry(
    parts: Parts, loss: Loss, artifact: bytes, report: Callable[[str], None]
) -> dict[str, bytes]:
    """The metadata entry with the skeleton, none where there can be none.

    Args:
        parts: see `make_skeleton`.
        loss: what it makes of the output is what devices predict.
        artifact: see `make_skeleton`.
        report: is told how it went, in a line.
    """
    try:
        content = make_skeleton(parts, loss.answer, artifact)
    except NoSkeletonError as error:
        report(f"no inference skeleton, devices predict from variables: {error}")
        return {}
    report(f"inference skeleton: {len(content):,} bytes")
    return {SKELETON_METADATA: content}


def make_skeleton(parts: Parts, answer: Answer, artifact: bytes) -> bytes:
    """Makes what the artifact's metadata entry `fedp_inference` holds.

    Args:
        parts: a model and what of it devices change.
        answer: from its output to what devices predict.
        artifact: the converted artifact, whose constants need no repetition; its
            buffers must keep their numbers.

    Raises:
        NoSkeletonError: TFLite refuses the model, has no place for a weight by
            itself, or computes something else.
    """
    values = [np.asarray(v.numpy(), np.float32) for v in parts.trained]
    weights = b"".join(value.tobytes() for value in values)
    initial = initial_buffers(values, artifact)
    reasons = []
    for graph in _graphs(parts.model, answer, parts.trained):
        try:
            skeleton = _skeleton(probe_graph(graph()), len(weights), initial, artifact)
            _check(parts.model, answer, bake(artifact, skeleton, weights))
            return skeleton.pack()
        except ExportError as error:
            reasons.append(str(error))
    raise NoSkeletonError("; ".join(dict.fromkeys(reasons)))


def _graphs(
    model: tf.keras.Model, answer: Answer, live: Sequence[tf.Variable]
) -> Iterator[Callable[[], InferenceGraph]]:
    """Makers of the model's inference function as it can be spelled, the best first."""
    yield lambda: InferenceGraph(model, answer, live)
    if has_loops(model):
        yield lambda: _unrolled_graph(model, answer, live)
    yield lambda: InferenceGraph(model, answer, live, lowered=True)


def _unrolled_graph(
    model: tf.keras.Model, answer: Answer, live: Sequence[tf.Variable]
) -> InferenceGraph:
    clone = unrolled(model)
    places = [next(i for i, v in enumerate(model.weights) if v is w) for w in live]
    return InferenceGraph(clone, answer, [clone.weights[i] for i in places])


def _skeleton(
    probed: Probed, weights: int, initial: tuple[int, ...] | None, artifact: bytes
) -> Skeleton:
    cuts = sorted([*probed.cuts, *shared_with(artifact, probed)])
    rest = without(probed.file, cuts)
    halves = sorted(halves_of(artifact) & {cut.source for cut in cuts})
    return Skeleton(
        len(probed.file), weights, initial, tuple(halves), tuple(cuts), rest
    )


def _check(model: tf.keras.Model, answer: Answer, baked: bytes) -> None:
    """Compares a baked model with Keras on every interpreter.

    Raises:
        NoSkeletonError: they differ.
    """
    x = _examples(model)
    expected = np.asarray(answer(model(x, training=False)))
    allowed = _TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))
    for kind in available_interpreters():
        try:
            found = InferenceModel(baked, kind).infer(x)
        except ArtifactError as error:
            why = one_line(error.__cause__ or error)
            raise NoSkeletonError(f"{kind} does not run it: {why}") from error
        if found.shape != expected.shape:
            raise NoSkeletonError(f"a shape of {found.shape} is wrong on {kind}")
        worst = float(np.abs(found - expected).max())
        if not worst <= allowed:
            raise NoSkeletonError(f"it differs from Keras by {worst:.1e} on {kind}")


def _examples(model: tf.keras.Model) -> np.ndarray:
    """Inputs in 0..1, or any of the tokens."""
    spec, random = model.inputs[0], np.random.default_rng(0)
    shape = (3, *spec.shape[1:])
    x: np.ndarray = random.random(shape)
    if spec.dtype.is_integer:
        x = random.integers(0, token_count(model) or 2, shape)
    return np.asarray(x, spec.dtype.as_numpy_dtype)
