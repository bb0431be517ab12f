"""What exporter and device agree on: signature names, the manifest, and its place.

Needs only NumPy and the standard library, so that both ends can import it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
from typing import Any

from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.manifest_check import check_manifest, parse_json

CONTRACT_VERSION = 2
MANIFEST_METADATA = "fedp_manifest"
SKELETON_METADATA = "fedp_inference"  # see `skeleton`; may be absent

# Signatures. n is any number of examples (B alone in a file of fixed shapes), C the
# number of classes; all tensors are float32 unless they say int32. No scalar: rank-0
# inputs crash the aarch64 wheels. Where the manifest has a features_shape, `x` of TRAIN
# and EVALUATE is what FEATURES gave. Labels are as `Labels` says. A row that only pads
# a batch gets weight 0.
TRAIN = "train"  # x [n,...], y [n,...], weight [n], learning_rate [1] -> loss [1]
EVALUATE = "evaluate"  # x [n,...], y [n,...] -> loss [n], correct [n], 0..1
INFER = "infer"  # x [n,...] -> output [n,...,C], class probabilities
FEATURES = "features"  # x [n,...] -> features [n,...]; only of a partly frozen model
SAVE = "save"  # unused int32 [1] -> one output a weight
RESTORE = "restore"  # one input a weight -> done [1]; zeroes the optimizer's slots
RESET = "reset"  # unused int32 [1] -> done [1]; zeroes the optimizer's slots
SAVE_SLOTS = "save_slots"  # as SAVE, of the client optimizer's slots, if it has any
RESTORE_SLOTS = "restore_slots"  # as RESTORE, of the slots
SIGNATURES = (TRAIN, EVALUATE, INFER, SAVE, RESTORE, RESET)

# Losses of an example, as Keras names them, and the labels that each takes.
CROSS_ENTROPY = "sparse_categorical_crossentropy"  # y int32 [n, *label_shape]
BINARY = "binary_crossentropy"  # y int32 [n], 0 or 1; `output` is [n, 2]
SQUARED = "mean_squared_error"  # y float32 [n, *label_shape]; `output` is raw
LOSSES = (CROSS_ENTROPY, BINARY, SQUARED)

NO_HASH = "0" * 64
NO_SIGNATURE = "0" * 128


@dataclasses.dataclass(frozen=True)
class WeightSpec:
    """One trainable tensor of the model, or one slot of the client optimizer.

    Attributes:
        name: its name in `save` and `restore`: "w0", "w1", ...; of a slot: "s0", ...
        layer: the Keras variable it came from, such as "conv2d/kernel:0"; of a slot:
            what it is, such as "m of conv2d/kernel:0".
        shape: its shape; the dtype is float32.
    """

    name: str
    layer: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of its entries."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Policy:
    """How a device adapts and decides; chosen on validation clients.

    Attributes:
        trainable: what trains: "all", "head" (the last layer with weights), "last:N",
            or a pattern of layer names.
        learning_rate: of the client optimizer.
        epochs: local epochs over the adaptation part.
        hold_out: share of a client's examples kept back as the guard's evidence.
        min_hold_out: fewest hold-out examples on which the guard lets a model live.
        margin: hold-out accuracy (0..1) the personalized model must gain at least.
        guard: one of `manifest_check.KINDS`.
        folds: of the guards that cross-validate, 2 or more.
        blends: shares of the way from the initial to the adapted weights that may go
            live, each above 0, at most 1.
        caution: standard errors by which the log loss must fall.
    """

    trainable: str = "all"
    learning_rate: float = 0.02
    epochs: int = 5
    hold_out: float = 0.25
    min_hold_out: int = 3
    margin: float = 0.0
    guard: str = "sure"
    folds: int = 4
    blends: tuple[float, ...] = (1.0,)
    caution: float = 1.25

    def __post_init__(self) -> None:
        """Takes the lists of JSON too."""
        object.__setattr__(self, "blends", tuple(self.blends))


@dataclasses.dataclass(frozen=True)
class Labels:
    """What labels a model learns from.

    Attributes:
        loss: one of LOSSES.
        shape: of one example's label: [] for one class, [L] for a sequence of L
            classes of which -1 is none, [D] for D numbers.
    """

    loss: str = CROSS_ENTROPY
    shape: tuple[int, ...] = ()

    @property
    def dtype(self) -> str:
        """Of `y`."""
        return "float32" if self.loss == SQUARED else "int32"

    @property
    def are_classes(self) -> bool:
        """Whether there is such a thing as a correct answer."""
        return self.loss != SQUARED


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All that a host needs to know about an artifact; rides inside the file.

    Attributes:
        model: name of the Keras builder.
        input_shape: one example's shape, without the batch.
        batch_size: B, examples in a training batch; padding a smaller one is optional.
        classes: label of each class, or name of each output of a regression; C.
        weights: the trainable tensors, in the order of `save`.
        input_dtype: of `x`: "float32", or "int32" for tokens.
        tokens: how many tokens there are, 0..tokens-1; 0 where `x` is no tokens, or
            where any number from 0 is one.
        labels: loss and labels.
        fixed_batch: every signature takes exactly B examples.
        frozen: Keras names of the weights that stay as they are.
        features_shape: of one example's features; None where all of the model trains.
        client_optimizer: the optimizer inside `train`: "sgd", "momentum" or "adam".
        optimizer_settings: its constants, by name.
        slots: what it remembers between steps, in the order of `save_slots`.
        initial_weights: how the file holds them: "float32" or "float16".
        policy: how to adapt and decide.
        client_split: `ClientSplit` fields: which clients were for training; empty where
            nobody knows, as of a Keras file.
        provenance: data set, stages, rounds, versions, seeds.
        notes: what differs on a device from training, one sentence each.
        parity: what the exporter measured between TensorFlow and this file.
        certificate: SHA-256, in hex, of the parity certificate beside the file.
        cost: fields of `fedp.export.cost.Cost`: operations, and memory of training.
        ops: builtin operators in the file and how often each occurs.
        contract: version of this agreement.
        sha256: hash of the file, in hex, taken with this field as zeros.
        signature: Ed25519 signature in hex, see `signing`; zeros without one.
    """

    model: str
    input_shape: tuple[int, ...]
    batch_size: int
    classes: tuple[str, ...]
    weights: tuple[WeightSpec, ...]
    input_dtype: str = "float32"
    tokens: int = 0
    labels: Labels = Labels()
    fixed_batch: bool = False
    frozen: tuple[str, ...] = ()
    features_shape: tuple[int, ...] | None = None
    client_optimizer: str = "sgd"
    optimizer_settings: dict[str, float] = dataclasses.field(default_factory=dict)
    slots: tuple[WeightSpec, ...] = ()
    initial_weights: str = "float32"
    policy: Policy = Policy()
    client_split: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    parity: dict[str, Any] = dataclasses.field(default_factory=dict)
    certificate: str = NO_HASH
    cost: dict[str, Any] = dataclasses.field(default_factory=dict)
    ops: dict[str, int] = dataclasses.field(default_factory=dict)
    contract: int = CONTRACT_VERSION
    sha256: str = NO_HASH
    signature: str = NO_SIGNATURE

    @property
    def signed(self) -> bool:
        """Whether it claims to be signed; see `artifact_file.read_artifact`."""
        return self.signature != NO_SIGNATURE

    def to_json(self) -> bytes:
        """Returns compact JSON, hash and signature first, ready to be embedded."""
        fields = dataclasses.asdict(self)
        first = {name: fields.pop(name) for name in ("sha256", "signature")}
        return json.dumps({**first, **fields}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Parses what `to_json` wrote.

        Raises:
            ArtifactError: fields are missing or wrong, or the contract is another one.
        """
        try:
            fields = parse_json(text)
            if fields["contract"] != CONTRACT_VERSION:
                raise ArtifactError(
                    f"the artifact speaks contract {reprlib.repr(fields['contract'])}, "
                    f"this runtime {CONTRACT_VERSION}: install the fedp release it was "
                    "exported with"
                )
            labels, features = fields.pop("labels"), fields.pop("features_shape")
            lists: dict[str, Any] = {
                name: _tuple(fields.pop(name))
                for name in ("input_shape", "classes", "frozen", "notes")
            }
            manifest = cls(
                weights=_specs(fields.pop("weights")),
                slots=_specs(fields.pop("slots")),
                labels=Labels(labels["loss"], _tuple(labels["shape"])),
                features_shape=None if features is None else _tuple(features),
                policy=Policy(**fields.pop("policy")),
                **lists,
                **fields,
            )
            check_manifest(manifest, LOSSES)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"the artifact's manifest cannot be read ({repr(error)[:200]}): "
                "export the model again"
            ) from error
        return manifest


def _specs(entries: list[dict[str, Any]]) -> tuple[WeightSpec, ...]:
    entries = list(_tuple(entries))
    return tuple(WeightSpec(e["name"], e["layer"], _tuple(e["shape"])) for e in entries)


def _tuple(values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{reprlib.repr(values)} where a list should be")
    return tuple(values)
