"""fedp's artifact on ai_edge_litert."""

from __future__ import annotations

from device import fedp_artifact
from device.peer import Peer, Predict, Train
from device.work import Work

_KIND = "ai_edge_litert"


def train(work: Work) -> Train:
    return fedp_artifact.train(work, _KIND)


def predict(work: Work, examples: int) -> Predict:
    return fedp_artifact.predict(work, _KIND)


PEER = Peer(
    "fedp on LiteRT",
    ("ai-edge-litert", "numpy", "click"),
    "pip install ai-edge-litert",
    train,
    predict,
    fedp_artifact.prepare,
)
