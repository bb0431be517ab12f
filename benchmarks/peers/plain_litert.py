"""A plain TFLite export, its weights constants, on ai_edge_litert: inference alone."""

from __future__ import annotations

from device import plain_export
from device.peer import Peer, Predict
from device.work import Work


def predict(work: Work, examples: int) -> Predict:
    from ai_edge_litert.interpreter import Interpreter

    return plain_export.predict(work, examples, Interpreter)


PEER = Peer(
    "plain TFLite on LiteRT",
    ("ai-edge-litert", "numpy"),
    "pip install ai-edge-litert",
    predict=predict,
    prepare=plain_export.prepare,
)
