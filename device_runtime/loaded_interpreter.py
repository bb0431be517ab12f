"""One TFLite interpreter with an artifact in it, its signatures run by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.quiet_stderr import without_notice


class LoadedInterpreter:
    """One interpreter; its variables live and die with it.

    Not safe for use by two threads at a time.

    Attributes:
        kind: "ai_edge_litert" or "tflite_runtime".
    """

    def __init__(self, kind: str, content: bytes, make: Callable[[bytes], Any]) -> None:
        """Loads an artifact.

        Args:
            kind: for messages.
            content: the whole TFLite file.
            make: makes the package's interpreter from it.

        Raises:
            ArtifactError: the interpreter refuses the file.
        """
        self.kind = kind
        # The interpreter reads the model from these very bytes for as long as it lives.
        self._content = content
        self._runners: dict[str, Any] = {}
        try:
            with without_notice():
                self._interpreter = make(content)
                # tflite_runtime applies XNNPACK only if this precedes any runner.
                self._interpreter.allocate_tensors()
            self._signatures = self._interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise ArtifactError(
                f"{kind} cannot load the artifact ({one_line(error)}): install its "
                "newest release, or export the model again"
            ) from error

    def has(self, signature: str) -> bool:
        """Whether the artifact has this signature."""
        return signature in self._signatures

    def inputs(self, signature: str) -> list[str]:
        """Names of a signature's inputs.

        Raises:
            ArtifactError: the artifact has no such signature.
        """
        if signature not in self._signatures:
            raise ArtifactError(
                f"the artifact has no signature {signature!r} (it has "
                f"{sorted(self._signatures)}): export the model again"
            )
        return list(self._signatures[signature]["inputs"])

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs a signature; inputs and outputs are float32 or int32 arrays by name.

        Raises:
            ArtifactError: no such signature, or the interpreter fails on it.
        """
        self.inputs(signature)
        try:
            if signature not in self._runners:
                runner = self._interpreter.get_signature_runner(signature)
                self._runners[signature] = runner
            outputs: dict[str, np.ndarray] = self._runners[signature](**inputs)
        except (ValueError, RuntimeError, TypeError) as error:
            raise ArtifactError(
                f"signature {signature!r} fails on {self.kind} ({one_line(error)}): "
                "export the model with this fedp release"
            ) from error
        return outputs


def one_line(error: BaseException) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
