"""The table of lowerings: from an op type to a function that spells it in builtins."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Scope:
    """What lowerings of one function may share.

    Attributes:
        memo: results by key, so that a forward op and its gradient share patches.
        random_seed: first half of the seed pair of every random op.
    """

    memo: dict[Hashable, Any]
    random_seed: int = 1

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Returns the value made for `key`, making it at the first call."""
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]


Lowering = Callable[[tf.Operation, Sequence[tf.Tensor], Scope], list[tf.Tensor]]
LOWERINGS: dict[str, Lowering] = {}

# Bumped whenever a lowering changes what it computes; stored with every artifact.
TABLE_VERSION = 2

# Ops of a training graph that TFLite has as they are, for float32 and int32.
BUILTIN = frozenset(
    """
    Abs Add AddV2 All Any ArgMax AvgPool Cast ConcatV2 Const Cos Cumsum Div Elu
    Equal Exp ExpandDims Fill Floor Greater GreaterEqual Identity LeakyRelu Less
    LessEqual Log LogicalAnd LogicalNot LogicalOr Max MaxPool Maximum Mean Min
    Minimum Mul Neg NotEqual OnesLike Pack Pad Pow Prod RealDiv Relu Relu6 Rsqrt
    Select SelectV2 Shape Sigmoid Sin Slice Softmax Split Sqrt Square
    SquaredDifference Squeeze StopGradient StridedSlice Sub Sum Tanh Tile Transpose
    Unpack ZerosLike
    """.split()
)

# Ops of shape arithmetic: known while tracing, and gone from the file, or else refused
# by the converter.
SHAPE_ARITHMETIC = frozenset(
    "DynamicStitch FloorDiv FloorMod GatherV2 InvertPermutation Range Rank Size".split()
)


def lowers(*op_types: str) -> Callable[[Lowering], Lowering]:
    """Registers a function as the lowering of these op types."""

    def register(function: Lowering) -> Lowering:
        for op_type in op_types:
            LOWERINGS[op_type] = function
        return function

    return register


def place(op: tf.Operation) -> str:
    """Names the layer an op came from, which Keras puts before the op."""
    parts = [p for p in op.name.split("/") if p != "gradient_tape"]
    return f"layer {parts[0]!r}" if len(parts) > 1 else f"op {op.name!r}"
