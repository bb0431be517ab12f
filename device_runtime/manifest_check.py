"""Is a manifest what it should be? Without a key, anyone may have written it."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedp.device_runtime.contract import Manifest, WeightSpec

_DEPTH = 16  # of lists and objects within each other
_LARGEST = 2**31 - 1  # TFLite counts in int32
KINDS = ("always", "never", "hold-out", "paired", "cross-validation", "blend", "sure")
_HEX = {"sha256": 64, "certificate": 64, "signature": 128}


def parse_json(text: bytes) -> Any:
    """Plain JSON: no name twice, no NaN, no depth, no number or text beyond Unicode.

    Raises:
        ValueError: it is not.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("too deep") from error
    _check_plain(value, _DEPTH)
    return value


def check_manifest(manifest: Manifest, losses: Iterable[str]) -> None:
    """Checks the type and the range of all that the runtime relies on.

    Args:
        manifest: as parsed.
        losses: those the contract knows.

    Raises:
        ValueError: names the field and what it holds.
    """
    m, policy = manifest, manifest.policy
    shape, labels = m.input_shape, m.labels
    found = {**vars(m), **vars(policy)}
    texts = ("model", "client_optimizer", "initial_weights", "trainable")
    tables = ("client_split", "provenance")
    rules = {
        "classes": bool(m.classes) and _are(str, m.classes),
        "notes": _are(str, m.notes),
        "frozen": _are(str, m.frozen),
        "batch_size": _is_count(m.batch_size, 1),
        "input_shape": bool(shape) and _is_shape((m.batch_size, *shape)),
        "input_dtype": m.input_dtype in ("float32", "int32"),
        "tokens": _is_count(m.tokens, 0),
        "fixed_batch": isinstance(m.fixed_batch, bool),
        "labels": labels.loss in tuple(losses) and _is_shape(labels.shape),
        "features_shape": m.features_shape is None or _is_shape(m.features_shape),
        "weights": bool(m.weights) and _are_specs("w", m.weights),
        "slots": _are_specs("s", m.slots),
        "learning_rate": _is_number(policy.learning_rate, above=0),
        "epochs": _is_count(policy.epochs, 0),
        "hold_out": _is_number(policy.hold_out) and 0 <= policy.hold_out <= 1,
        "min_hold_out": _is_count(policy.min_hold_out, 0),
        "margin": _is_number(policy.margin),
        "guard": policy.guard in KINDS,
        "folds": _is_count(policy.folds, 2),
        "blends": _are_blends(policy.blends),
        "caution": _is_number(policy.caution) and policy.caution >= 0,
        "optimizer_settings": _are_numbers(m.optimizer_settings),
        "ops": _are_numbers(m.ops),
        "parity": _is_table(m.parity, _is_parity),
        "cost": _is_cost(m.cost),
        **{name: isinstance(found[name], str) for name in texts},
        **{name: isinstance(found[name], dict) for name in tables},
        **{name: _is_hex(found[name], size) for name, size in _HEX.items()},
    }
    for name, right in rules.items():
        if not right:
            raise ValueError(f"{name} is {reprlib.repr(found[name])}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands twice")
    return fields


def _check_plain(value: Any, depth: int) -> None:
    if depth == 0:
        raise ValueError("too deep")
    if isinstance(value, str):
        value.encode()  # Half a surrogate pair is a UnicodeEncodeError.
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("a number beyond 64 bits")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_plain(name, depth)
            _check_plain(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, depth - 1)


def _are(kind: type, values: Iterable[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _is_count(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= _LARGEST


def _is_number(value: Any, above: float = -math.inf) -> bool:
    return type(value) in (int, float) and above < value < math.inf


def _are_numbers(table: Any) -> bool:
    return isinstance(table, dict) and all(map(_is_number, table.values()))


def _is_table(table: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(table, dict) and all(map(holds, table.values()))


def _are_blends(blends: tuple[Any, ...]) -> bool:
    """At least one; each once, above 0, at most 1."""
    return 0 < len(blends) == len(set(blends)) and all(
        _is_number(blend, above=0) and blend <= 1 for blend in blends
    )


def _has_numbers(fields: Any, *names: str) -> bool:
    return isinstance(fields, dict) and all(_is_number(fields.get(n)) for n in names)


def _is_parity(entry: Any) -> bool:
    """Of one interpreter, as people are shown it."""
    return _has_numbers(entry, "steps", "loss") and _is_table(
        entry.get("weights"), lambda weight: _has_numbers(weight, "worst")
    )


def _is_cost(cost: Any) -> bool:
    """Nothing, or what the exporter computes of each signature and interpreter."""
    return isinstance(cost, dict) and (
        _is_table(cost.get("signatures", {}), _is_signature_cost)
        and _are_numbers(cost.get("training_bytes", {}))
    )


def _is_signature_cost(entry: Any) -> bool:
    return _has_numbers(entry, "batch", "flops", "live_bytes") and _are_numbers(
        entry.get("by_op")
    )


def _is_shape(shape: Iterable[Any]) -> bool:
    """Whether each is a positive integer, and a tensor of that shape is possible."""
    shape = tuple(shape)
    return all(_is_count(size, 1) for size in shape) and math.prod(shape) <= _LARGEST


def _are_specs(letter: str, specs: tuple[WeightSpec, ...]) -> bool:
    return (
        all(spec.name == f"{letter}{i}" for i, spec in enumerate(specs))
        and _are(str, (spec.layer for spec in specs))
        and all(spec.shape and _is_shape(spec.shape) for spec in specs)
        and sum(math.prod(spec.shape) for spec in specs) <= _LARGEST
    )


def _is_hex(value: Any, size: int) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(f"[0-9a-f]{{{size}}}", value))
