"""Small images as PNG, in an address that carries them: nothing is fetched."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

_COLOUR_TYPES = {1: 0, 3: 2}  # PNG's of grey and of RGB
_LARGEST = 96  # pixels a side; larger images are thinned out


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether examples of this shape are images: [H, W], or [H, W, 1 or 3]."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in _COLOUR_TYPES)


def data_address(image: np.ndarray) -> str:
    """A "data:" address of a PNG.

    Args:
        image: uint8, or numbers that are spread over black to white unless they are
            within 0..1; [H, W], or [H, W, 1 or 3].
    """
    step = -(-max(image.shape[:2]) // _LARGEST)
    content = base64.b64encode(encode(_as_bytes(image[::step, ::step]))).decode()
    return f"data:image/png;base64,{content}"


def encode(image: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W] or [H, W, 1 or 3]."""
    height, width, channels = image.reshape(*image.shape[:2], -1).shape
    colour = _COLOUR_TYPES[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    rows = image.reshape(height, -1)
    # Each row begins with its filter, which is none.
    body = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(body, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def _as_bytes(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    values = np.nan_to_num(image.astype(np.float64))
    low, high = min(values.min(), 0.0), max(values.max(), 1.0)
    return np.asarray(np.round((values - low) / (high - low) * 255), np.uint8)
