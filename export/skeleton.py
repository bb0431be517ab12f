"""The inference skeleton: a plain TFLite export whose weights are cut out.

A device lays its live weights into the gaps, see `device_runtime/baking.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from fedp.device_runtime import baking
from fedp.device_runtime.baking import Cut, Skeleton
from fedp.device_runtime.contract import SKELETON_METADATA
from fedp.device_runtime.errors import ArtifactError, ExportError
from fedp.device_runtime.inference_model import InferenceModel
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.tflite_buffers import BufferReader
from fedp.export import flatbuffer
from fedp.export.inference_graph import InferenceGraph, has_loops, unrolled
from fedp.export.probing import layout_of, numbers_of, probe

_SMALL = 256  # bytes of a constant that the skeleton may repeat
_TOLERANCE = 1e-4  # of a probability; a misplaced weight costs far more


class NoSkeletonError(ExportError):
    """The model has no inference skeleton; its message says why."""


def skeleton_entry(
    model: tf.keras.Model,
    softmax: bool,
    artifact: bytes,
    report: Callable[[str], None],
    live: Sequence[tf.Variable] | None = None,
) -> dict[str, bytes]:
    """The metadata entry with the skeleton, none where there can be none.

    Args:
        model: see `make_skeleton`.
        softmax: see `make_skeleton`.
        artifact: see `make_skeleton`.
        report: is told how it went, in a line.
        live: see `make_skeleton`.
    """
    try:
        content = make_skeleton(model, softmax, artifact, live)
    except NoSkeletonError as error:
        report(f"no inference skeleton, devices predict from variables: {error}")
        return {}
    report(f"inference skeleton: {len(content):,} bytes")
    return {SKELETON_METADATA: content}


def make_skeleton(
    model: tf.keras.Model,
    softmax: bool,
    artifact: bytes,
    live: Sequence[tf.Variable] | None = None,
) -> bytes:
    """Makes what the artifact's metadata entry `fedp_inference` holds.

    Args:
        model: Keras model with one input and one output.
        softmax: append one; the output is logits.
        artifact: the converted artifact, whose constants need no repetition; its
            buffers must keep their numbers.
        live: the variables that devices change, in manifest order; by default, all
            trainable ones.

    Raises:
        NoSkeletonError: TFLite refuses the model, has no place for a weight by
            itself, or computes something else.
    """
    live = list(model.trainable_variables if live is None else live)
    values = [np.asarray(v.numpy(), np.float32) for v in live]
    weights = b"".join(value.tobytes() for value in values)
    initial = _find_initial(values, artifact)
    reasons = []
    for graph in _graphs(model, softmax, live):
        try:
            skeleton = _skeleton(_probe_well(graph), len(weights), initial, artifact)
            _check(model, softmax, baking.bake(artifact, skeleton, weights))
            return skeleton.pack()
        except (ExportError, ArtifactError) as error:
            reasons.append(str(error))
    raise NoSkeletonError("; ".join(dict.fromkeys(reasons)))


def _graphs(
    model: tf.keras.Model, softmax: bool, live: Sequence[tf.Variable]
) -> Iterator[InferenceGraph]:
    """The model's inference function in several spellings, the fastest first."""
    yield InferenceGraph(model, softmax, live)
    if has_loops(model):
        clone = unrolled(model)
        places = [next(i for i, v in enumerate(model.weights) if v is w) for w in live]
        same = [clone.weights[i] for i in places]
        yield InferenceGraph(clone, softmax, same)
    yield InferenceGraph(model, softmax, live, lowered=True)


def _skeleton(
    probed: _Probed, weights: int, initial: tuple[int, ...] | None, artifact: bytes
) -> Skeleton:
    cuts = sorted([*probed.cuts, *_shared(probed, artifact)])
    rest = _without(probed.file, cuts)
    return Skeleton(len(probed.file), weights, initial, tuple(cuts), rest)


class _Probed(NamedTuple):
    """An inference model with a probe as its weights.

    Attributes:
        file: the model.
        cuts: where the weights are.
        missing: numbers of the weights that have no place of their own.
        complete: nothing of the file but the cuts depends on the weights.
    """

    file: bytes
    cuts: list[Cut]
    missing: list[int]
    complete: bool


def _probe_well(graph: InferenceGraph) -> _Probed:
    """Hides from the converter what it folds: vectors first, then whatever is missing.

    Raises:
        ExportError: some weights still have no place of their own.
    """
    opaque: set[int] = set()
    for attempt in range(3):
        probed = _probe(graph, sorted(opaque))
        if probed.complete and not probed.missing:
            return probed
        folded = set(probed.missing or range(len(graph.live)))
        vectors = {i for i in folded - opaque if len(graph.live[i].shape) < 2}
        opaque |= vectors if vectors and attempt == 0 else folded
    names = ", ".join(graph.live[i].name for i in probed.missing) or "some weights"
    raise NoSkeletonError(f"TFLite's converter mixes {names} with something else")


def _probe(graph: InferenceGraph, opaque: Sequence[int]) -> _Probed:
    shapes = [tuple(variable.shape) for variable in graph.live]
    sizes = [math.prod(shape) for shape in shapes]
    files = [graph.convert(probe(shapes, number), opaque) for number in (0, 1)]
    seen, cuts = np.zeros(sum(sizes), bool), []
    buffers = BufferReader(files[0])
    for first, second in zip(*map(flatbuffer.constants, files), strict=False):
        if not first.is_float32 or first.data == second.data:
            continue
        numbers = numbers_of(first.data, second.data, len(seen))
        layout = None if numbers is None else layout_of(numbers, first.shape)
        if layout is not None:
            seen[numbers] = True
            cuts.append(Cut(buffers.range(first.buffer)[0], baking.LIVE, *layout))
    parts = np.split(seen, np.cumsum(sizes)[:-1])
    missing = [i for i, part in enumerate(parts) if not part.all()]
    complete = len({_without(file, cuts) for file in files}) == 1
    return _Probed(files[0], cuts, missing, complete)


def _shared(probed: _Probed, artifact: bytes) -> list[Cut]:
    """Cuts for constants that the artifact has too, be it with its axes permuted."""
    places, buffers = _contents(artifact), BufferReader(probed.file)
    taken = {cut.at for cut in probed.cuts}
    cuts = []
    for constant in flatbuffer.constants(probed.file):
        at, _ = buffers.range(constant.buffer)
        count = math.prod(constant.shape)
        if at in taken or len(constant.data) < max(_SMALL, 4 * count):
            continue
        numbers = np.frombuffer(constant.data, np.uint32).reshape(constant.shape)
        for axes in itertools.permutations(range(numbers.ndim)):
            source = places.get(numbers.transpose(axes).tobytes())
            if source is not None:
                order = np.arange(count).reshape([constant.shape[a] for a in axes])
                found = order.transpose(np.argsort(axes)).ravel()
                layout = layout_of(found, constant.shape)
                if layout is not None:
                    cuts.append(Cut(at, source, *layout))
                break
    return cuts


def _contents(artifact: bytes) -> dict[bytes, int]:
    """Numbers of the artifact's buffers by their bytes."""
    buffers = BufferReader(artifact)
    return {artifact[slice(*buffers.range(n))]: n for n in range(len(buffers))}


def _find_initial(
    values: Sequence[np.ndarray], artifact: bytes
) -> tuple[int, ...] | None:
    """Numbers of the buffers from which the artifact sets its variables up."""
    places = _contents(artifact)
    found = [places.get(value.tobytes()) for value in values]
    known = tuple(number for number in found if number is not None)
    return known if len(known) == len(found) else None


def _without(file: bytes, cuts: Iterable[Cut]) -> bytes:
    """What is left of a file."""
    left, begin = [], 0
    for cut in sorted(cuts):
        left.append(file[begin : cut.at])
        begin = cut.at + cut.size
    return b"".join([*left, file[begin:]])


def _check(model: tf.keras.Model, softmax: bool, baked: bytes) -> None:
    """Compares a baked model with Keras on every interpreter.

    Raises:
        NoSkeletonError: they differ.
    """
    spec, random = model.inputs[0], np.random.default_rng(0)
    shape = (3, *spec.shape[1:])
    inputs = (
        random.integers(0, 2, shape)
        if spec.dtype.is_integer
        else (random.random(shape))
    )
    x = inputs.astype(spec.dtype.as_numpy_dtype)
    output = model(x, training=False)
    expected = np.asarray(tf.nn.softmax(output) if softmax else output)
    for kind in available_interpreters():
        found = InferenceModel(baked, kind).infer(x)
        if found.shape != expected.shape:
            raise NoSkeletonError(f"a shape of {found.shape} is wrong on {kind}")
        worst = float(np.abs(found - expected).max())
        if not worst <= _TOLERANCE:
            raise NoSkeletonError(f"it differs from Keras by {worst:.1e} on {kind}")
