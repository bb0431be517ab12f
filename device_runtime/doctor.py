"""What is installed, what each verb lacks, and the command that mends it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import platform
import sys

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
_DEVICE_COMMAND = "pip install ai-edge-litert"
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


def checks() -> list[Check]:
    """One check a verb, in the order of use."""
    any_interpreter = any(_found(module) for module in _INTERPRETERS)
    interpreter = () if any_interpreter else ("a TFLite interpreter",)
    python = () if sys.version_info[:2] == (3, 11) else ("Python 3.11",)
    training = python + _lacking(_TRAINING)
    exporting = python + _lacking({**_SERVER, **_COSTS})
    evaluating = _lacking(_EVALUATION) + interpreter
    tuning = exporting + _lacking(_EVALUATION)
    rows = [
        ("train", training, _TRAIN_COMMAND),
        ("tune", tuning, _TRAIN_COMMAND),
        ("export", exporting, _TRAIN_COMMAND),
        ("keygen", _lacking(_SIGNATURES), "pip install 'cryptography>=42'"),
        ("evaluate", evaluating, "pip install plotly matplotlib ai-edge-litert"),
        *(
            (verb, interpreter, _DEVICE_COMMAND)
            for verb in ("personalize", "predict", "bake", "status", "verify")
        ),
        ("reset", (), ""),
        ("inspect", (), ""),
    ]
    return [Check(verb, lack, mend if lack else "") for verb, lack, mend in rows]


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
