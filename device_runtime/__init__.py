"""Device side: adapt, guard, keep or fall back; never imports TensorFlow."""

from fedp.device_runtime.adaptation import Adaptation, Budget, adapt
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Manifest, Policy
from fedp.device_runtime.guard import Decision, Evidence, Score, decide
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.outcome import Outcome, Status
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.device_runtime.store import forget_state
from fedp.device_runtime.verification import Verification, verify_artifact

__all__ = [
    "Adaptation",
    "Budget",
    "Decision",
    "Evidence",
    "Manifest",
    "Outcome",
    "Personalizer",
    "Policy",
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
