"""What is installed, what each verb lacks, and the command that mends it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Callable, Mapping

# Package to import and its name on the registry.
_INTERPRETERS = {"ai_edge_litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}
# What the generated data set is drawn with.
_GENERATED = {"matplotlib": "matplotlib"}
_EVALUATION = {"plotly": "plotly", **_GENERATED}
_SIGNATURES = {"cryptography": "cryptography"}
_SERVER = {
    "tensorflow": "tensorflow",
    "flatbuffers": "flatbuffers",
}
# Of the interpreters, the one that tells an export what its file costs.
_COSTS = {"ai_edge_litert": "ai-edge-litert"}
_TRAINING = {
    **_SERVER,
    "tensorflow_federated": "tensorflow-federated",
    "jaxlib": "jaxlib",
    "rich": "rich",
    **_GENERATED,
}
_TRAIN_COMMAND = (
    "python3.11 -m pip install '.[train]' && "
    "python3.11 -m pip install --no-deps tensorflow-federated==0.87.0"
)


@dataclasses.dataclass(frozen=True)
class Check:
    """Whether one verb can run here.

    Attributes:
        verb: of the command line.
        missing: what it lacks.
        mend: the command that installs it; empty if nothing is missing.
    """

    verb: str
    missing: tuple[str, ...]
    mend: str

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def installed() -> dict[str, str | None]:
    """Version of every package that some verb uses, None where it is absent."""
    packages = {
        "numpy": "numpy",
        **_INTERPRETERS,
        **_EVALUATION,
        **_TRAINING,
        **_SIGNATURES,
    }
    return {name: _version(module, name) for module, name in sorted(packages.items())}


def checks(verbs: Mapping[str, str]) -> list[Check]:
    """One check a verb, in the order of `verbs`.

    Args:
        verbs: name -> what it needs, a key of NEEDS.
    """
    found = {need: examine() for need, (examine, _) in NEEDS.items()}
    return [
        Check(verb, found[need], NEEDS[need][1] if found[need] else "")
        for verb, need in verbs.items()
    ]


def _interpreter() -> tuple[str, ...]:
    return () if any(map(_found, _INTERPRETERS)) else ("a TFLite interpreter",)


def _python() -> tuple[str, ...]:
    return () if sys.version_info[:2] == (3, 11) else ("Python 3.11",)


def _to_export() -> tuple[str, ...]:
    return _python() + _lacking({**_SERVER, **_COSTS})


# What a verb can need -> (what of it is missing here, the command that installs it).
NEEDS: dict[str, tuple[Callable[[], tuple[str, ...]], str]] = {
    "nothing": (lambda: (), ""),
    "interpreter": (_interpreter, "pip install ai-edge-litert"),
    "signing": (lambda: _lacking(_SIGNATURES), "pip install 'cryptography>=42'"),
    "evaluating": (
        lambda: _lacking(_EVALUATION) + _interpreter(),
        "pip install plotly matplotlib ai-edge-litert",
    ),
    "exporting": (_to_export, _TRAIN_COMMAND),
    "tuning": (lambda: _to_export() + _lacking(_EVALUATION), _TRAIN_COMMAND),
    "training": (lambda: _python() + _lacking(_TRAINING), _TRAIN_COMMAND),
}


def machine() -> str:
    """Python and platform in one line."""
    return f"Python {platform.python_version()} on {platform.system()} " + (
        platform.machine()
    )


def _lacking(modules: dict[str, str]) -> tuple[str, ...]:
    return tuple(name for module, name in modules.items() if not _found(module))


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # blocked, or half removed
        return False


def _version(module: str, name: str) -> str | None:
    if not _found(module):
        return None
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
