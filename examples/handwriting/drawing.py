"""Characters drawn with characters, for terminals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SHADES = " .:*#"


def side_by_side(images: Sequence[np.ndarray], captions: Sequence[str]) -> str:
    """Images [H, W] or [H, W, 1], at half their height, each over its caption.

    >>> print(side_by_side([np.array([[0, 255], [0, 255]], np.uint8)], ["I"]))
     #
    I
    """
    blocks = [_lines(image) for image in images]
    widths = [max(len(block[0]), 12) + 2 for block in blocks]
    rows = [*zip(*blocks, strict=True), tuple(captions)]
    lines = (
        "".join(part.ljust(width) for part, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _lines(image: np.ndarray) -> list[str]:
    ink = image.reshape(image.shape[:2]).astype(np.float32)
    ink = ink / max(float(ink.max()), 1e-6)
    # A terminal's letters are about twice as high as wide.
    pairs = ink[: len(ink) // 2 * 2].reshape(-1, 2, ink.shape[1]).max(axis=1)
    shades = np.minimum((pairs * len(SHADES)).astype(int), len(SHADES) - 1)
    return ["".join(SHADES[s] for s in row) for row in shades]
