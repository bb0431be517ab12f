"""The inference skeleton's form: a TFLite model from which the weights are cut out.

It travels in the artifact as the metadata entry `fedp_inference`:

    header length, uint32 | header, JSON | what is left of the file, deflated

and the header has

    version  1
    size     of the baked file, in bytes
    weights  size of the live weights, in bytes
    initial  numbers of the artifact's buffers that hold the initial weights, or null
    halves   numbers of the artifact's buffers that hold float16, which cuts take as
             float32; may be left out
    cuts     [at, source, offset, shape, strides] each, by rising `at`

A cut is filled with numbers of 4 bytes: `source` is -1 for the live weights (raw
float32 in manifest order) or the number of a buffer of the artifact; `offset` and
`strides` count numbers of it; `at` counts bytes of the baked file.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from typing import NamedTuple

import numpy as np

from fedp.device_runtime.contract import SKELETON_METADATA
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.tflite_buffers import BufferReader

SKELETON_VERSION = 1
LIVE = -1  # A cut's source: the live weights.
NUMBER = np.dtype("<u4")  # Only copied, whatever it stands for.
HALF = np.dtype("<f2")


class Cut(NamedTuple):
    """Bytes that the skeleton lacks, and where the device finds them.

    Attributes:
        at: where they begin in the baked file, in bytes.
        source: LIVE, or the number of a buffer of the artifact.
        offset: of the first number in the source.
        shape: of the numbers in the baked file.
        strides: how far apart they are in the source, by axis, in numbers.
    """

    at: int
    source: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many bytes are cut out."""
        return math.prod(self.shape) * NUMBER.itemsize

    def fill(self, source: np.ndarray) -> np.ndarray:
        """The missing bytes, in order.

        Raises:
            ArtifactError: the source is too short.
        """
        axes = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        steps = [(n - 1) * s for n, s in axes]
        first = self.offset + sum(min(0, step) for step in steps)
        last = self.offset + sum(max(0, step) for step in steps)
        if min(self.shape, default=1) < 1 or first < 0 or last >= len(source):
            raise inconsistent(f"a cut of {self.shape} from {len(source)} numbers")
        view = np.lib.stride_tricks.as_strided(
            source[self.offset :],
            [n for n, _ in axes],
            [s * NUMBER.itemsize for _, s in axes],
            writeable=False,
        )
        return np.ascontiguousarray(view)


class Skeleton(NamedTuple):
    """An inference model without its weights.

    Attributes:
        size: of the baked file, in bytes.
        weights: size of the live weights, in bytes.
        initial: numbers of the artifact's buffers that, joined, are the initial
            weights; None if it does not hold them in that form.
        halves: numbers of the artifact's buffers that hold float16, which cuts take
            as float32.
        cuts: what is missing, by rising position.
        rest: what is left of the file.
    """

    size: int
    weights: int
    initial: tuple[int, ...] | None
    halves: tuple[int, ...]
    cuts: tuple[Cut, ...]
    rest: bytes

    def pack(self) -> bytes:
        """The skeleton's form in the artifact."""
        header = {"version": SKELETON_VERSION, **self._asdict()}
        header.pop("rest")
        text = json.dumps(header, separators=(",", ":")).encode()
        return struct.pack("<I", len(text)) + text + zlib.compress(self.rest, 9)

    @classmethod
    def unpack(cls, content: bytes) -> Skeleton:
        """Reads what `pack` made.

        Raises:
            ArtifactError: it is something else.
        """
        try:
            end = 4 + struct.unpack_from("<I", content)[0]
            header = json.loads(content[4:end])
            if header.pop("version") != SKELETON_VERSION:
                raise inconsistent("its version is another one")
            initial = header["initial"]
            return cls(
                int(header["size"]),
                int(header["weights"]),
                None if initial is None else tuple(map(int, initial)),
                tuple(map(int, header.get("halves", ()))),
                tuple(
                    Cut(
                        int(at),
                        int(source),
                        int(offset),
                        tuple(map(int, shape)),
                        tuple(map(int, strides)),
                    )
                    for at, source, offset, shape, strides in header["cuts"]
                ),
                zlib.decompress(content[end:]),
            )
        except (
            struct.error,
            zlib.error,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
        ) as error:
            raise inconsistent(repr(error)) from error


def read_skeleton(artifact: bytes) -> Skeleton | None:
    """The skeleton that an artifact carries, None if it has none.

    Raises:
        ArtifactError: it cannot be read.
    """
    place = BufferReader(artifact).metadata(SKELETON_METADATA)
    return None if place is None else Skeleton.unpack(artifact[slice(*place)])


def widened(halves: np.ndarray) -> np.ndarray:
    """The float32 of the same values as these float16, as a cut takes them."""
    with np.errstate(invalid="ignore"):  # NaN widens to NaN.
        return halves.astype("<f4").view(NUMBER)


def inconsistent(what: str) -> ArtifactError:
    """The error for a skeleton that does not fit; `what` says what was found."""
    return ArtifactError(
        f"the artifact's inference skeleton is inconsistent ({what}): export the model "
        "again"
    )
