"""Which examples a trial adapts on and which judge it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import trials_of
from fedp.device_runtime.manifest_check import KINDS

FIELDS = ("guard", "folds", "hold_out", "min_hold_out")


def vectors() -> list[dict[str, Any]]:
    """Few and many examples, classes of any size, sequences, numbers."""
    return list(_cases())


def _vector(name: str, policy: Policy, labels: np.ndarray) -> dict[str, Any]:
    seed = 7
    return {
        "name": name,
        "policy": {field: getattr(policy, field) for field in FIELDS},
        "label_dtype": "float32" if labels.dtype.kind == "f" else "int32",
        "labels": labels.tolist(),
        # NumPy's generator is no part of the contract: a host shuffles with its own.
        "seed": seed,
        "order": np.random.default_rng((seed, 1)).permutation(len(labels)).tolist(),
        "trials": [
            {"adapt": trial.adapt.tolist(), "judge": trial.judge.tolist()}
            for trial in trials_of(policy, labels, seed)
        ],
    }


def _cases() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(22)
    for kind in KINDS:
        policy = Policy(guard=kind)
        yield _vector(f"{kind}: 10 of 3 classes", policy, random.integers(0, 3, 10))
        yield _vector(f"{kind}: one class", policy, np.zeros(10, np.int64))
    for count in (0, 1, 2, 3, 5, 7):
        labels = np.arange(count) % 2
        for kind in ("hold-out", "sure"):
            for least in (0, 3):
                policy = Policy(guard=kind, min_hold_out=least)
                yield _vector(f"{kind}: {count}, min_hold_out {least}", policy, labels)
    for share in (0.0, 0.1, 0.3, 0.4, 0.5, 0.9, 1.0):
        policy = Policy(guard="hold-out", hold_out=share)
        yield _vector(f"hold-out of {share}", policy, random.integers(0, 3, 10))
    for folds in (2, 3, 10, 50):
        policy = Policy(folds=folds)
        yield _vector(f"{folds} folds of 12", policy, random.integers(0, 4, 12))
    yield _vector("a rare class", Policy(), np.array([0] * 11 + [1]))
    sequences = random.integers(-1, 4, (9, 3))
    yield _vector("sequences are not stratified", Policy(), sequences)
    alike = np.where(sequences < 0, -1, 2)
    yield _vector("sequences of one label, and of none", Policy(), alike)
    yield _vector("nor are numbers", Policy(), np.arange(9, dtype=np.float32)[:, None])
