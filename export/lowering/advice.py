"""What to use instead of an op that cannot train on a device."""

from __future__ import annotations

import dataclasses
import fnmatch


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Ops without a spelling in TFLite's builtins.

    Attributes:
        ops: patterns of op types.
        layers: what brings them in.
        advice: the nearest thing that trains.
    """

    ops: tuple[str, ...]
    layers: str
    advice: str


_REFUSALS = (
    Refusal(
        ("Conv3D*", "MaxPool3D*", "AvgPool3D*"),
        "Conv3D, MaxPooling3D, AveragePooling3D",
        "use Conv2D or Conv1D with one axis among the channels",
    ),
    Refusal(
        ("SparseMatMul", "SparseTensorDenseMatMul"),
        "LocallyConnected1D and 2D with implementation 2 or 3",
        "use implementation=1",
    ),
    Refusal(
        ("Resize*",),
        "UpSampling2D, Resizing",
        "use Conv2DTranspose with strides, or freeze the layers up to it (--trainable)",
    ),
    Refusal(
        ("TensorList*", "While", "StatelessWhile", "If", "StatelessIf"),
        "ConvLSTM1D to 3D, CenterCrop, loops and branches in layers of your own",
        "use LSTM or GRU over flattened features, Cropping2D, or arithmetic",
    ),
    Refusal(
        ("RngReadAndSkip", "Stateless*Random*", "ImageProjectiveTransform*"),
        "RandomFlip, RandomRotation, RandomContrast and other augmentation",
        "augment the examples before they reach the model",
    ),
    Refusal(
        ("String*", "RaggedTensor*", "UnicodeDecode*", "StaticRegex*"),
        "TextVectorization, Hashing",
        "turn text into numbers outside of the model: its input is int32 tokens",
    ),
    Refusal(
        ("LookupTable*", "*HashTable*"),
        "StringLookup, IntegerLookup",
        "look tokens up outside of the model: its input is int32 tokens",
    ),
    Refusal(
        ("DenseBincount", "Bincount"),
        "CategoryEncoding",
        "use an Embedding, or give the model encoded inputs",
    ),
    Refusal(
        ("Bucketize",),
        "Discretization",
        "give the model bucketed inputs",
    ),
    Refusal(
        ("FFT*", "RFFT*", "IFFT*", "IRFFT*"),
        "tf.signal",
        "compute spectra outside of the model",
    ),
    Refusal(
        ("SegmentSum", "UnsortedSegment*", "ScatterNd*", "GatherNd", "TopK*", "Sort*"),
        "tf.gather and tf.math.top_k in layers of your own",
        "use an Embedding, slices or Dense",
    ),
)
OTHER = "build the layer from those in docs/layers.md, or freeze it (--trainable)"


def advice(op_type: str) -> str:
    """What to do about an op that has no spelling."""
    for refusal in _REFUSALS:
        if any(fnmatch.fnmatchcase(op_type, pattern) for pattern in refusal.ops):
            return refusal.advice
    return OTHER


def refusals() -> tuple[Refusal, ...]:
    """All that is refused by its op."""
    return _REFUSALS
