"""Writes docs/layers.md: `python -m tests.export.layers_document`."""

from __future__ import annotations

import pathlib

from fedp.export.lowering.advice import OTHER, refusals
from fedp.export.refusals import UNTRACEABLE
from tests.export.layer_table import LOSSES, TABLE

PLACE = pathlib.Path(__file__).parents[2] / "docs" / "layers.md"

_HEAD = """\
# Layers that train on a device

`fedp export` turns a Keras model's training step into builtin TFLite operators. Each
line below stands for models whose gradients a test compares with TensorFlow's, on
every change (`tests/export/lowering/test_layers.py`). At export, every model is
compared with TensorFlow once more, on each interpreter that is installed.

A model is functional or Sequential, with one input of known shape (the batch may
vary), float32 or int32 tokens, and one output. Nested models, residuals, branches and
shared layers are fine. Layers that stay as they are (`--trainable`) may also be any
that TFLite can infer with.

This file is written by `python -m tests.export.layers_document`.
"""


def text() -> str:
    """The whole document."""
    rows = [(row.layer, row.settings, row.note) for row in TABLE]
    losses = sorted({name for name, _ in LOSSES.values()})
    refused = [(r.layers, f"needs `{r.ops[0]}`", r.advice) for r in refusals()]
    refused += [(kind, "", advice) for kind, advice in UNTRACEABLE.items()]
    refused.append(("anything else", "names its op", OTHER))
    parts = [
        _HEAD,
        _table(("layer", "settings", "on a device"), rows),
        "## Losses\n\n" + "".join(f"- `{name}`\n" for name in losses),
        "Binary and multi-class cross-entropy take logits or probabilities. Of "
        "sequences, a step\nwith the label -1 counts for nothing. The losses of "
        "regularizers do not count on a device.\n",
        "## What is refused\n\nThe export names the layer, the op and this choice; "
        "nothing falls back to Flex.\n",
        _table(("layer", "why", "instead"), refused),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PLACE.write_text(text())
