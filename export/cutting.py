"""Finds the weights in a converted model, and what the artifact holds already."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.skeleton import HALF, LIVE, Cut, widened
from fedp.device_runtime.tflite_buffers import BufferReader
from fedp.export import flatbuffer
from fedp.export.inference_graph import InferenceGraph
from fedp.export.probing import layout_of, numbers_of, probe

_SMALL = 256  # bytes of a constant that the skeleton may repeat


class Probed(NamedTuple):
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


def probe_graph(graph: InferenceGraph) -> Probed:
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
    raise ExportError(f"TFLite's converter mixes {names} with something else")


def _probe(graph: InferenceGraph, opaque: Sequence[int]) -> Probed:
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
            cuts.append(Cut(buffers.range(first.buffer)[0], LIVE, *layout))
    parts = np.split(seen, np.cumsum(sizes)[:-1])
    missing = [i for i, part in enumerate(parts) if not part.all()]
    complete = len({without(file, cuts) for file in files}) == 1
    return Probed(files[0], cuts, missing, complete)


def shared_with(artifact: bytes, probed: Probed) -> list[Cut]:
    """Cuts for constants that the artifact has too.

    Be it with their axes permuted, or as float16, see `halves_of`.
    """
    places = _widened(artifact) | _contents(artifact)
    buffers = BufferReader(probed.file)
    taken = {cut.at for cut in probed.cuts}
    cuts = []
    for constant in flatbuffer.constants(probed.file):
        at, _ = buffers.range(constant.buffer)
        count = math.prod(constant.shape)
        size = len(constant.data)
        if at in taken or size < _SMALL or size != 4 * count:
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


def halves_of(artifact: bytes) -> frozenset[int]:
    """Numbers of the artifact's buffers that hold float16."""
    constants = flatbuffer.constants(artifact)
    return frozenset(c.buffer for c in constants if c.is_float16)


def _widened(artifact: bytes) -> dict[bytes, int]:
    """Numbers of the artifact's float16 buffers by their bytes as float32."""
    return {
        widened(np.frombuffer(constant.data, HALF)).tobytes(): constant.buffer
        for constant in flatbuffer.constants(artifact)
        if constant.is_float16
    }


def initial_buffers(
    values: Sequence[np.ndarray], artifact: bytes
) -> tuple[int, ...] | None:
    """Numbers of the buffers from which the artifact sets its variables up."""
    places = _contents(artifact)
    found = [places.get(value.tobytes()) for value in values]
    known = tuple(number for number in found if number is not None)
    return known if len(known) == len(found) else None


def without(file: bytes, cuts: Iterable[Cut]) -> bytes:
    """What is left of a file."""
    left, begin = [], 0
    for cut in sorted(cuts):
        left.append(file[begin : cut.at])
        begin = cut.at + cut.size
    return b"".join([*left, file[begin:]])
