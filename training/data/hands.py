"""A writer's hand: how one client of the synthetic data set writes each class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fedp.training.data.glyphs import CELLS, FONTS, glyph

CLASSES = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
SIDE = 28  # pixels
_CELLS_PER_PIXEL = 2.0
_BUMPS = 4  # an elastic warp is a sum of _BUMPS x _BUMPS smooth bumps
_BLOCK = 64  # images drawn at once; bounds memory

# Classes that people write alike, and the forms (character, mark) they choose from.
# Nothing but a client's own examples tells which form it uses for which class.
_CONFUSABLE: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("0O", (("0", ""), ("O", ""), ("0", "slash"), ("O", "slash"))),
    ("1lI", (("", "stem"), ("", "stem and flag"), ("", "stem and hook"),
             ("", "stem and serifs"))),
    ("2Z", (("2", ""), ("Z", ""), ("Z", "bar"))),
    ("5S", (("5", ""), ("S", ""))),
    ("9gq", (("9", ""), ("g", ""), ("q", ""), ("q", "tail"))),
    ("8B", (("8", ""), ("B", ""))),
    ("6b", (("6", ""), ("b", ""))),
    ("7T", (("7", ""), ("7", "bar"), ("T", ""))),
    ("uv", (("u", ""), ("v", ""))),
    ("UV", (("U", ""), ("V", ""))),
    ("ft", (("f", ""), ("t", ""))),
)  # fmt: skip


class Hand(NamedTuple):
    """What stays the same in all that one client writes.

    Attributes:
        fonts: font of each class, 1 to 3 different ones.
        forms: character and mark of each class, its own way with confusable classes.
        matrix: from pixels to cells: slant, size, turn; float64 [2, 2].
        shift: from the image's centre, in cells; float64 [2].
        lower_case: size of lower-case letters; 1 is as the font has them.
        stroke: what the stroke is wider on either side, in cells.
        warp: elastic displacement of the bumps, in cells; float64 [2, bumps, bumps].
    """

    fonts: tuple[str, ...]
    forms: tuple[tuple[str, str], ...]
    matrix: np.ndarray
    shift: np.ndarray
    lower_case: float
    stroke: float
    warp: np.ndarray


def choose_hand(random: np.random.Generator) -> Hand:
    """Draws a new writer's hand."""
    mix = random.choice(len(FONTS), size=random.integers(1, 4), replace=False)
    slant, turn = random.normal(0, 0.18), random.normal(0, 0.06)
    width, height = np.exp(random.normal(0, 0.12) + random.normal([-0.05, -0.05], 0.06))
    return Hand(
        fonts=tuple(FONTS[i] for i in random.choice(mix, size=len(CLASSES))),
        forms=_choose_forms(random),
        matrix=_CELLS_PER_PIXEL * np.array([[width, slant], [-turn, height]]),
        shift=random.normal(0, 1.5, size=2),
        lower_case=float(np.exp(random.uniform(-0.1, 0.35))),
        stroke=float(np.clip(random.normal(0.5, 0.5), -0.1, 1.6)),
        warp=random.normal(0, 1.2, size=(2, _BUMPS, _BUMPS)),
    )


def _choose_forms(random: np.random.Generator) -> tuple[tuple[str, str], ...]:
    forms = {name: (name, "") for name in CLASSES}
    for names, choices in _CONFUSABLE:
        # Sometimes the way that the fonts have it.
        order = random.permutation(len(choices))
        if random.random() < 0.7:
            forms.update((n, choices[i]) for n, i in zip(names, order, strict=False))
    return tuple(forms[name] for name in CLASSES)


def draw(hand: Hand, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Writes one image for each class number; no two are quite the same.

    Args:
        hand: whose hand.
        y: class numbers, integers [n].
        random: moves every image a little, one after the other: the first images
            are the same for any n.

    Returns:
        Images uint8 [n, SIDE, SIDE], ink 255 on 0.
    """
    fields, which = _fields(hand, y)
    jitter = random.normal(size=(len(y), 7 + 2 * _BUMPS**2))
    x = np.empty((len(y), SIDE, SIDE), np.uint8)
    for begin in range(0, len(y), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        places = _places(hand, y[block], jitter[block])
        x[block] = _ink(fields, which[block], places, hand.stroke)
    return x


def _fields(hand: Hand, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance fields of the classes in y, and which of them each example uses."""
    present, which = np.unique(y, return_inverse=True)
    fields = [glyph(hand.fonts[c], *hand.forms[c]) for c in present]
    return np.stack(fields).ravel(), which


def _places(hand: Hand, y: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """Where in its distance field each pixel looks: cells, float32 [2, n, 28, 28]."""
    n = len(y)
    lower = np.array([name.islower() for name in CLASSES])[y]
    size = np.exp(0.04 * jitter[:, 0]) / np.where(lower, hand.lower_case, 1.0)
    shift = hand.shift + 1.0 * jitter[:, 1:3]
    matrix = hand.matrix + 0.1 * jitter[:, 3:7].reshape(n, 2, 2)
    matrix = size[:, np.newaxis, np.newaxis] * matrix
    warp = hand.warp + 0.8 * jitter[:, 7:].reshape(n, 2, _BUMPS, _BUMPS)

    pixels = np.arange(SIDE) - (SIDE - 1) / 2
    peaks = np.linspace(pixels[0], pixels[-1], _BUMPS)
    bumps = np.exp(-(((pixels[:, np.newaxis] - peaks) / (peaks[1] - peaks[0])) ** 2))
    cells = np.einsum("rb,ndbc,kc->dnrk", bumps, warp, bumps, optimize=True)
    cells += np.einsum("nd,k->dnk", matrix[:, :, 0], pixels)[:, :, np.newaxis, :]
    cells += np.einsum("nd,r->dnr", matrix[:, :, 1], pixels)[:, :, :, np.newaxis]
    # The middle between an ascender's top and a descender's foot.
    centre = np.array([[CELLS / 2], [CELLS / 2 - 0.5]])
    cells += (shift.T + centre)[:, :, np.newaxis, np.newaxis]
    return np.asarray(cells - 0.5, np.float32)


def _ink(
    fields: np.ndarray, which: np.ndarray, places: np.ndarray, stroke: float
) -> np.ndarray:
    """Reads the distance fields bilinearly and inks what lies inside."""
    column, row = np.clip(places, 0, CELLS - 1.001)
    left, top = column.astype(np.int32), row.astype(np.int32)
    column, row = column - left, row - top
    at = (which[:, np.newaxis, np.newaxis] * CELLS + top) * CELLS + left
    upper = fields[at] * (1 - column) + fields[at + 1] * column
    lower = fields[at + CELLS] * (1 - column) + fields[at + CELLS + 1] * column
    distance = upper * (1 - row) + lower * row
    ink = np.clip(0.5 + (distance + stroke) / _CELLS_PER_PIXEL, 0, 1)
    return np.asarray(np.rint(255 * ink), np.uint8)
