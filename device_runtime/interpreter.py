"""TFLite interpreters behind one door: `ai_edge_litert` and `tflite_runtime`.

Nothing else on a device imports either.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from fedp.device_runtime.errors import MissingDependencyError
from fedp.device_runtime.loaded_interpreter import LoadedInterpreter, one_line
from fedp.device_runtime.split_interpreter import SplitInterpreter

Interpreter = LoadedInterpreter | SplitInterpreter

# Loads a whole file, with so many threads; the last: it has one signature only.
Load = Callable[[bytes, int, bool], Interpreter]


def _ai_edge_litert() -> Load:
    from ai_edge_litert.interpreter import Interpreter as Native

    def load(content: bytes, threads: int, one_signature: bool) -> Interpreter:
        make = functools.partial(_make, Native, num_threads=threads)
        return LoadedInterpreter("ai_edge_litert", content, make)

    return load


def _tflite_runtime() -> Load:
    from tflite_runtime.interpreter import Interpreter as Native
    from tflite_runtime.interpreter import OpResolverType

    no_xnnpack = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES

    def load(content: bytes, threads: int, one_signature: bool) -> Interpreter:
        fast = functools.partial(_make, Native, num_threads=threads)
        plain = functools.partial(fast, experimental_op_resolver_type=no_xnnpack)
        one = functools.partial(LoadedInterpreter, "tflite_runtime", content)
        if one_signature:
            return one(fast)
        return SplitInterpreter(one(plain), functools.partial(one, fast))

    return load


class _Package(NamedTuple):
    pip_name: str
    find: Callable[[], Load]


# The fastest first.
_PACKAGES = {
    "ai_edge_litert": _Package("ai-edge-litert", _ai_edge_litert),
    "tflite_runtime": _Package("tflite-runtime", _tflite_runtime),
}


def available_interpreters() -> tuple[str, ...]:
    """Interpreters that are installed and import here, the fastest first."""
    return tuple(kind for kind in _PACKAGES if not isinstance(_find(kind), Exception))


def installed_version(kind: str) -> str:
    """Version of an interpreter's package; "unknown" where it has no metadata."""
    import importlib.metadata  # costs 12 ms and 2 MB, which few need

    try:
        return importlib.metadata.version(_PACKAGES[kind].pip_name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def load_interpreter(
    content: bytes,
    kind: str | None = None,
    threads: int = 1,
    *,
    one_signature: bool = False,
) -> Interpreter:
    """Loads an artifact, or a baked model, into a fresh interpreter.

    Args:
        content: the whole TFLite file.
        kind: which interpreter; by default the fastest one installed.
        threads: CPU threads of its kernels; more than 1 pays on ai_edge_litert only.
        one_signature: the file has no second one; see `SplitInterpreter` for why it
            matters.

    Raises:
        MissingDependencyError: that interpreter, or any at all, is not installed.
        ArtifactError: the interpreter refuses the file.
    """
    if kind is not None and kind not in _PACKAGES:
        raise MissingDependencyError(
            f"interpreter {kind!r} is unknown; allowed are {', '.join(_PACKAGES)}"
        )
    failures = []
    for candidate in _PACKAGES if kind is None else (kind,):
        load = _find(candidate)
        if not isinstance(load, Exception):
            return load(content, threads, one_signature)
        failures.append(f"{candidate}: {one_line(load)}")
    package = _PACKAGES[kind or "ai_edge_litert"].pip_name
    raise MissingDependencyError(
        f"no TFLite interpreter to run the artifact with ({'; '.join(failures)}): "
        f"pip install {package}"
    )


def _find(kind: str) -> Load | Exception:
    """What loads an artifact, or the exception that importing it ended with."""
    try:
        return _PACKAGES[kind].find()
    # A wheel for another glibc or NumPy fails with more than ImportError.
    except Exception as error:
        return error


def _make(native: Any, content: bytes, **options: Any) -> Any:
    return native(model_content=content, **options)
