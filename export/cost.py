"""What an artifact costs a device: operations of its signatures, memory of training.

Memory is an estimate of a process that opens the artifact and trains:

    Python, NumPy and the package (`base`), and its interpreters (`loading`)
    + the file, the weights that train and the optimizer's slots, as often as they are
      in memory
    + the working memory of `train` at B examples
    + of a frozen part its working memory, and its weights, which XNNPACK repacks, or
      the windows that plain kernels lay out for a convolution

Working memory is at least the largest sum of tensors alive at once, beside constants
and variables. An interpreter needs more, as its arena has gaps and partitions keep
tensors of their own: `gaps` is how many times as much, measured like the others.

Peak RSS in MB after five steps, x86-64 Linux, Python 3.11, B = 20, 2026-11-25:

                           ai_edge_litert 2.3.0     tflite_runtime 2.14.0
                           measured   estimated     measured   estimated
    emnist_cnn               115.3      108.5         204.9      220.6
    emnist_cnn, dropout      116.9      109.4         220.4      223.6
    emnist_cnn, Adam         134.3      136.2         263.2      266.6
    the same three with version 2 of the lowering
                              84.1       86.8         158.6      144.0
                              90.6       87.6         161.9      146.9
                             118.6      119.9         222.4      209.0
    emnist_cnn, last:2        72.2       78.5         112.4      117.0
    emnist_cnn, last:2, Adam 104.1      111.1         182.8      181.3
    emnist_cnn, head          68.5       67.7          74.4       65.9
    mlp                       53.4       53.3          52.2       52.3
    mlp, Adam                 58.1       58.9          64.4       62.9
    mlp, last:2               53.1       52.3          47.3       46.8
    mlp, head                 52.7       52.0          46.2       45.3
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from fedp.device_runtime import contract
from fedp.device_runtime.contract import Manifest, WeightSpec
from fedp.export import flatbuffer
from fedp.export.flops import flops
from fedp.export.measured_shapes import measured_shapes
from fedp.export.subgraph import Subgraph

_MB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Package:
    """Memory of one interpreter package, measured; see the module's table.

    Attributes:
        base: MB of a process that has imported it and NumPy.
        loading: MB of its interpreters with a small file, on top of the file.
        files: how often the file is in memory.
        weights: how often the weights that train are.
        slots: how often the optimizer's slots are, and what is made of them on the way.
        repacks: whether XNNPACK runs a frozen part, and copies its weights.
        gaps: working memory of `train`, as a multiple of `live_bytes`.
    """

    base: float
    loading: float
    files: int
    weights: int
    slots: int
    repacks: bool
    gaps: float


PACKAGES = {
    "ai_edge_litert": Package(46.0, 3.3, 2, 1, 3, True, 1.2),
    # Two interpreters, see `split_interpreter`, and weights on their way between them.
    "tflite_runtime": Package(39.0, 4.8, 1, 3, 5, False, 4.2),
}


@dataclasses.dataclass(frozen=True)
class SignatureCost:
    """One signature at one batch size.

    Attributes:
        batch: examples.
        flops: floating-point operations; a multiply-add counts as two.
        by_op: the same by operator, the costliest first; those that cost nothing are
            left out.
        live_bytes: largest sum of tensors alive at once, beside constants and
            variables: a lower bound of the working memory.
    """

    batch: int
    flops: int
    by_op: dict[str, int]
    live_bytes: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """What the manifest's `cost` holds.

    Attributes:
        signatures: cost by signature: `train` (and `features`, where the file has it)
            at B examples, `infer` at one.
        training_bytes: estimated peak of a process that trains, by interpreter.
    """

    signatures: dict[str, SignatureCost]
    training_bytes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and numbers."""
        return dataclasses.asdict(self)


def cost_of(content: bytes, manifest: Manifest) -> Cost:
    """The cost of a file.

    Args:
        content: the TFLite file, with or without its manifest.
        manifest: its batch size, weights and slots.
    """
    graphs = dict(_subgraphs(content, manifest))
    signatures = {name: _cost(batch, graph) for name, (batch, graph) in graphs.items()}
    features = graphs[contract.FEATURES][1] if contract.FEATURES in graphs else None
    working = signatures[contract.TRAIN].live_bytes
    training = {
        kind: _training_bytes(package, len(content), manifest, working, features)
        for kind, package in PACKAGES.items()
    }
    return Cost(signatures, training)


def _subgraphs(
    content: bytes, manifest: Manifest
) -> Iterator[tuple[str, tuple[int, Subgraph]]]:
    """Name, batch size and subgraph of the signatures that cost something."""
    model = flatbuffer.load(content)
    numbers = {s.signatureKey.decode(): s.subgraphIndex for s in model.signatureDefs}
    size = manifest.batch_size
    batches = {
        contract.TRAIN: size,
        contract.FEATURES: size,
        contract.INFER: size if manifest.fixed_batch else 1,
    }
    for name, batch in batches.items():
        if name in numbers:
            shapes = measured_shapes(content, name, numbers[name], batch)
            yield name, (batch, Subgraph(model, numbers[name], shapes))


def _cost(batch: int, graph: Subgraph) -> SignatureCost:
    by_op: collections.Counter[str] = collections.Counter()
    for operator in graph.operators():
        by_op[operator.name] += flops(operator)
    costly = {name: count for name, count in by_op.most_common() if count}
    return SignatureCost(batch, by_op.total(), costly, graph.live_bytes())


def _training_bytes(
    package: Package,
    file_bytes: int,
    manifest: Manifest,
    working: int,
    features: Subgraph | None,
) -> int:
    total = (package.base + package.loading) * _MB + package.files * file_bytes
    total += package.weights * _variable_bytes(manifest.weights)
    total += package.slots * _variable_bytes(manifest.slots)
    total += package.gaps * working
    if features:
        total += features.live_bytes()
        total += (
            features.constant_bytes() if package.repacks else features.window_bytes()
        )
    return round(total)


def _variable_bytes(specs: Sequence[WeightSpec]) -> int:
    return 4 * sum(math.prod(spec.shape) for spec in specs)
