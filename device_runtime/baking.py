"""A stock inference model, made by laying the live weights into a skeleton."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fedp.device_runtime.skeleton import (
    HALF,
    LIVE,
    NUMBER,
    Cut,
    Skeleton,
    inconsistent,
    widened,
)
from fedp.device_runtime.tflite_buffers import BufferReader

# A baked file's only signature: stock apps then need not name it.
SIGNATURE = "serving_default"


def initial_weights(artifact: bytes, skeleton: Skeleton) -> bytes | None:
    """The initial model's weights, raw float32 in manifest order, if they are known.

    Raises:
        ArtifactError: the skeleton does not fit the artifact.
    """
    if skeleton.initial is None:
        return None
    buffers = BufferReader(artifact)
    found = b"".join(artifact[slice(*buffers.range(n))] for n in skeleton.initial)
    if len(found) != skeleton.weights:
        raise inconsistent(f"{len(found)} bytes of weights for {skeleton.weights}")
    return found


def bake(artifact: bytes, skeleton: Skeleton, weights: bytes) -> bytes:
    """A TFLite file whose only signature maps x to class probabilities.

    Args:
        artifact: the whole file that the skeleton came in.
        skeleton: see `read_skeleton`.
        weights: raw float32 in manifest order, see `to_blob`.

    Raises:
        ArtifactError: the three do not fit each other.
    """
    if len(weights) != skeleton.weights:
        raise inconsistent(f"{len(weights)} bytes of weights for {skeleton.weights}")
    filled = _filled(artifact, skeleton, weights)
    try:
        baked = b"".join(_interleaved(skeleton.rest, skeleton.cuts, filled))
    except (ValueError, OverflowError) as error:
        raise inconsistent(str(error)) from error
    if len(baked) != skeleton.size or baked[4:8] != b"TFL3":
        raise inconsistent(f"{len(baked)} bytes in place of {skeleton.size}")
    return baked


def _filled(
    artifact: bytes, skeleton: Skeleton, weights: bytes
) -> Iterator[np.ndarray]:
    buffers = BufferReader(artifact)
    live = np.frombuffer(weights, NUMBER, len(weights) // NUMBER.itemsize)
    for cut in skeleton.cuts:
        if cut.source == LIVE:
            yield cut.fill(live)
            continue
        kind = HALF if cut.source in skeleton.halves else NUMBER
        begin, end = buffers.range(cut.source)
        numbers = np.frombuffer(artifact, kind, (end - begin) // kind.itemsize, begin)
        yield cut.fill(widened(numbers) if kind is HALF else numbers)


def _interleaved(
    rest: bytes, cuts: Sequence[Cut], filled: Iterable[np.ndarray]
) -> Iterator[memoryview]:
    left, done, cut_out = memoryview(rest), 0, 0
    for cut, numbers in zip(cuts, filled, strict=True):
        until = cut.at - cut_out
        if not done <= until <= len(rest):
            raise inconsistent(f"a cut at {cut.at}")
        yield left[done:until]
        yield numbers.data
        done, cut_out = until, cut_out + cut.size
    yield left[done:]
