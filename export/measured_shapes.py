"""The shape of every tensor of a signature at a batch size, from a run of it.

A file leaves the batch open, and RESHAPE mixes it with other dimensions; an interpreter
without delegates knows all shapes once the signature has run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

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
    """
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    runner = interpreter.get_signature_runner(signature)
    details = runner.get_input_details()
    runner(**{name: _zeros(entry, batch) for name, entry in details.items()})
    found = interpreter.get_tensor_details(subgraph)
    return [tuple(map(int, tensor["shape"])) for tensor in found]


def _zeros(details: dict[str, Any], batch: int) -> np.ndarray:
    shape = [batch if n < 0 else int(n) for n in details["shape_signature"]]
    return np.zeros(shape, details["dtype"])
