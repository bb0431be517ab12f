"""What the Python runtime computes, as JSON: `python -m tests.device_runtime.vectors`.

JSON has no NaN and no Inf: they are the strings "NaN", "Infinity" and "-Infinity". A
float32 is written as the shortest decimal of the float64 that equals it.
"""

import json
import math
import pathlib
from typing import Any

from . import candidates, guard, seal, trials, watch, weights

# In the sources: an installed package may be a folder of links.
HOME = pathlib.Path(__file__).parents[3] / "device_runtime" / "vectors"
MAKERS = {
    "blend.json": weights.blends,
    "candidates.json": candidates.vectors,
    "guard.json": guard.vectors,
    "seal.json": seal.vectors,
    "trials.json": trials.vectors,
    "watch.json": watch.vectors,
    "weights.json": weights.blobs,
}


def text_of(name: str) -> str:
    """What a file holds."""
    return to_text(MAKERS[name]())


def to_text(vectors: list[dict[str, Any]]) -> str:
    """A JSON array, one vector a line, so that a change shows as the lines it is."""
    lines = (json.dumps(_plain(vector), allow_nan=False) for vector in vectors)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value}".replace("inf", "Infinity")
    return value
