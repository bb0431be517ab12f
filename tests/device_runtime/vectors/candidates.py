"""Which candidates a guard wants judged."""

from typing import Any

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.guards import candidates_of
from fedp.device_runtime.manifest_check import KINDS


def vectors() -> list[dict[str, Any]]:
    """Each guard with few and many epochs, and blends out of order."""
    found = []
    for kind in KINDS:
        for epochs in (0, 1, 2, 5, 10):
            for blends in ((1.0,), (1.0, 0.5, 0.25)):
                policy = Policy(guard=kind, epochs=epochs, blends=blends)
                wanted = [c._asdict() for c in candidates_of(policy)]
                found.append(
                    {
                        "name": f"{kind}: {epochs} epochs, {len(blends)} blends",
                        "policy": {"guard": kind, "epochs": epochs, "blends": blends},
                        "candidates": wanted,
                    }
                )
    return found
