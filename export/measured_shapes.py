"""The shape of every tensor of a signature at a batch size, from a run of it.

A file leaves the batch open, and RESHAPE mixes it with other dimensions; an interpreter
without delegates knows all shapes once the signature has run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fedp.device_runtime.errors import MissingDependencyError

Shape = tuple[int, ...]


def measured_shapes(
    content: bytes, signature: str, subgraph: int, batch: int
) -> list[Shape]:
    """Shapes of a subgraph's tensors, in the file's order.

    Args:
        content: the TFLite file.
        signature: its name.
        subgraph: its number.
        batch: examples; a file of fixed shapes takes its own number.

    Raises:
        MissingDependencyError: ai_edge_litert is not installed; no other interpreter
            tells the shapes of every subgraph.
    """
    interpreter = _plain_interpreter(content)
    runner = interpreter.get_signature_runner(signature)
    details = runner.get_input_details()
    runner(**{name: _zeros(entry, batch) for name, entry in details.items()})
    found = interpreter.get_tensor_details(subgraph)
    return [tuple(map(int, tensor["shape"])) for tensor in found]


def _plain_interpreter(content: bytes) -> Any:
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError as error:
        raise MissingDependencyError(
            "what the artifact costs is computed with ai_edge_litert, which is not "
            "installed: pip install ai-edge-litert"
        ) from error
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return litert.Interpreter(
        model_content=content, experimental_op_resolver_type=plain
    )


def _zeros(details: dict[str, Any], batch: int) -> np.ndarray:
    shape = [batch if n < 0 else int(n) for n in details["shape_signature"]]
    return np.zeros(shape, details["dtype"])
