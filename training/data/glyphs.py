"""Glyphs as signed distance fields, from the TrueType fonts that matplotlib ships.

A distance field can be moved, warped and given any stroke width, and stays sharp.
"""

from __future__ import annotations

import functools
import pathlib
import threading
from typing import Any

import numpy as np

from fedp.device_runtime.errors import MissingDependencyError

CELLS = 64  # a field is CELLS x CELLS float32
CELLS_PER_EM = 50.0
_REACH = 10  # distances are exact up to this many cells, clipped beyond
_BASELINE = 46.0  # row of the baseline: capitals and descenders both fit
_MARK_HALF_WIDTH = 1.9  # cells; about half a regular font's stroke

# Fonts whose glyphs for 0-9, A-Z and a-z are plain letters.
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "cmb10",
    "cmr10",
    "cmss10",
    "cmti10",
    "cmtt10",
)

# Strokes that writers add: line segments x0, y0, x1, y1 in the glyph's own box,
# with 0, 0 at its upper left corner and 1, 1 at its lower right one.
_STEM = (0.5, 0.0, 0.5, 1.0)
MARKS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "": (),
    "slash": ((0.9, -0.02, 0.1, 1.02),),
    "bar": ((0.1, 0.5, 0.9, 0.5),),
    "tail": ((0.8, 0.75, 1.15, 1.05),),
    "stem": (_STEM,),
    "stem and flag": (_STEM, (0.5, 0.0, 0.1, 0.3)),
    "stem and hook": (_STEM, (0.5, 1.0, 0.95, 0.85)),
    "stem and serifs": (_STEM, (0.1, 0.0, 0.9, 0.0), (0.1, 1.0, 0.9, 1.0)),
}
# Where marks go when there is no glyph below them: a narrow capital's place.
_BARE_BOX = np.array([[CELLS / 2 - 11, _BASELINE - 34], [CELLS / 2 + 11, _BASELINE]])
_lock = threading.Lock()


@functools.cache
def glyph(font: str, character: str, mark: str = "") -> np.ndarray:
    """One glyph's signed distance field, centred on its width, baseline in place.

    Args:
        font: a name out of `FONTS`.
        character: one character that the font has, or "" for marks alone.
        mark: strokes to add, a name out of `MARKS`.

    Returns:
        Distance to the outline in cells, above 0 inside the ink; float32
        [CELLS, CELLS], read-only.

    Raises:
        MissingDependencyError: matplotlib, which brings the fonts, is not installed.
    """
    if character:
        polygons = _outline(font, character)
        field = _signed_distance(_inside(polygons, 2 * CELLS)) / 2
        # Sampled twice as fine, then averaged down: smoother edges.
        field = field.reshape(CELLS, 2, CELLS, 2).mean(axis=(1, 3))
        points = np.concatenate(polygons) / 2
        box = np.stack([points.min(axis=0), points.max(axis=0)])
    else:
        field, box = np.full((CELLS, CELLS), -float(_REACH)), _BARE_BOX
    for segment in MARKS[mark]:
        field = np.maximum(field, _stroke(np.reshape(segment, (2, 2)), box))
    field = field.astype(np.float32)
    field.setflags(write=False)
    return field


def _outline(font: str, character: str) -> list[np.ndarray]:
    """The outline as closed polygons, x and y in half cells, y downwards."""
    with _lock:  # a face holds one glyph at a time
        face = _face(font)
        face.set_size(2 * CELLS_PER_EM, 72)
        face.load_char(ord(character))
        path = face.get_path()
    from matplotlib.path import Path

    closed = map(np.asarray, Path(*path).to_polygons())
    polygons = [polygon for polygon in closed if len(polygon) > 2]
    points = np.concatenate(polygons)
    middle = (points[:, 0].min() + points[:, 0].max()) / 2
    return [
        np.stack([p[:, 0] - middle + CELLS, 2 * _BASELINE - p[:, 1]], axis=1)
        for p in polygons
    ]


@functools.cache
def _face(font: str) -> Any:
    try:
        import matplotlib
        from matplotlib.ft2font import FT2Font
    except ImportError as error:
        raise MissingDependencyError(
            "data set synthetic draws its glyphs from matplotlib's fonts, and "
            "matplotlib is not installed: run `pip install matplotlib`"
        ) from error
    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return FT2Font(str(folder / f"{font}.ttf"))


def _inside(polygons: list[np.ndarray], size: int) -> np.ndarray:
    """Non-zero winding rule at cell centres: bool [size, size]."""
    centres = np.arange(size) + 0.5
    winding = np.zeros((size, size), np.int32)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
            first, last = np.searchsorted(centres, sorted((y0, y1)))
            if first == last:
                continue
            rows = centres[first:last]
            crossing = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            right = centres > crossing[:, np.newaxis]
            winding[first:last] += np.where(right, 1 if y1 > y0 else -1, 0)
    return np.not_equal(winding, 0)


def _signed_distance(inside: np.ndarray) -> np.ndarray:
    # The outline runs half a cell from the last centre on either side.
    half = np.where(inside, -0.5, 0.5)
    return np.asarray(_distance(~inside) - _distance(inside) + half)


def _distance(target: np.ndarray) -> np.ndarray:
    """Distance from each cell to the nearest target cell, at most 2 * _REACH."""
    reach = 2 * _REACH
    squared = np.where(target, np.float32(0), np.float32(reach**2))
    for _ in range(2):  # along columns, then (transposed) along rows
        padded = np.pad(squared, ((reach, reach), (0, 0)), mode="edge")
        for step in range(2 * reach + 1):
            shifted = padded[step : step + len(squared)]
            np.minimum(squared, shifted + np.float32((step - reach) ** 2), out=squared)
        squared = np.ascontiguousarray(squared.T)
    return np.asarray(np.sqrt(squared))


def _stroke(segment: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Signed distance of a round-ended line segment given as shares of a box."""
    start, end = box[0] + (box[1] - box[0]) * segment
    x, y = np.meshgrid(np.arange(CELLS) + 0.5, np.arange(CELLS) + 0.5)
    offset = np.stack([x, y], axis=-1) - start
    along = end - start
    share = np.clip(offset @ along / (along @ along), 0, 1)
    gap = np.linalg.norm(offset - share[..., np.newaxis] * along, axis=-1)
    return np.asarray(_MARK_HALF_WIDTH - gap)
