"""In how many pieces XNNPACK takes the training graph of a file."""

from __future__ import annotations

from fedp.device_runtime import contract
from fedp.export.flatbuffer import lead_with


def partitions(content: bytes) -> int | None:
    """Counts the XNNPACK partitions of the train signature on ai_edge_litert.

    One is best: each op that the delegate refuses ends a partition, copies what
    crosses it, and runs on a slow kernel.

    Args:
        content: the TFLite file.

    Returns:
        How many; 0 if nothing is delegated, None if ai_edge_litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    # A wheel for another glibc or NumPy fails with more than ImportError.
    except Exception:
        return None
    # An interpreter shows the ops of its first subgraph alone.
    interpreter = Interpreter(model_content=lead_with(content, contract.TRAIN))
    interpreter.allocate_tensors()
    details = interpreter._get_ops_details()
    return [op["op_name"] for op in details].count("DELEGATE")
