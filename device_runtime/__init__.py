"""Device side: adapt, guard, keep or fall back; never imports TensorFlow.

Names are imported when they are first used: a device pays for what it needs.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from fedp.device_runtime.adaptation import Adaptation, adapt
    from fedp.device_runtime.artifact_file import read_artifact
    from fedp.device_runtime.budget import Budget, Meter
    from fedp.device_runtime.contract import Manifest, Policy
    from fedp.device_runtime.evidence import Candidate, Evidence, Score
    from fedp.device_runtime.guards import Decision, decide
    from fedp.device_runtime.interpreter import available_interpreters
    from fedp.device_runtime.outcome import Outcome, Status
    from fedp.device_runtime.personalizer import Personalizer
    from fedp.device_runtime.progress import Progress
    from fedp.device_runtime.session import Session
    from fedp.device_runtime.store import forget_state
    from fedp.device_runtime.verification import Verification, verify_artifact

_MODULES = {
    "adaptation": ("Adaptation", "adapt"),
    "artifact_file": ("read_artifact",),
    "budget": ("Budget", "Meter"),
    "contract": ("Manifest", "Policy"),
    "evidence": ("Candidate", "Evidence", "Score"),
    "guards": ("Decision", "decide"),
    "interpreter": ("available_interpreters",),
    "outcome": ("Outcome", "Status"),
    "personalizer": ("Personalizer",),
    "progress": ("Progress",),
    "session": ("Session",),
    "store": ("forget_state",),
    "verification": ("Verification", "verify_artifact"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Adaptation",
    "Budget",
    "Candidate",
    "Decision",
    "Evidence",
    "Manifest",
    "Meter",
    "Outcome",
    "Personalizer",
    "Policy",
    "Progress",
    "Score",
    "Session",
    "Status",
    "Verification",
    "adapt",
    "available_interpreters",
    "decide",
    "forget_state",
    "read_artifact",
    "verify_artifact",
]


def __getattr__(name: str) -> typing.Any:
    """Imports a name's module."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
