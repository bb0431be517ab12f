"""Makes the parity certificate from the run that proved the file.

Where rounding meets a near-tie, steps that go on freely drift apart, faster and faster.
So a certificate has the first steps that the interpreters here make well within what
`fedp verify` allows; what is after them, parity has compared from equal weights.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import numpy as np

from fedp.device_runtime.certificate import SAMPLES, Certificate
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.interpreter import installed_version
from fedp.device_runtime.verification import verify
from fedp.export.lowering.table import TABLE_VERSION
from fedp.export.parity import Parity
from fedp.export.reference import Batch, Reference, Step

_STRAIN = 0.1  # of a tolerance: other processors round otherwise


def certify(
    manifest: Manifest,
    content: bytes,
    reference: Reference,
    batches: Sequence[Batch],
    trajectory: Sequence[Step],
    parity: Sequence[Parity],
    seed: int,
) -> Certificate:
    """Writes down what TensorFlow computed.

    Args:
        manifest: its weights.
        content: the file without a manifest.
        reference: what computed the trajectory.
        batches: of the steps.
        trajectory: the start, and what is after each step.
        parity: what was measured on each interpreter.
        seed: of the batches; also draws which entries are sampled.
    """
    random = np.random.default_rng((seed, 2))
    positions = tuple(
        np.sort(random.choice(w.size, min(w.size, SAMPLES), replace=False)).astype(
            np.int32
        )
        for w in manifest.weights
    )
    states = [step.after.weights for step in trajectory]
    samples = tuple(
        np.stack([state[i].reshape(-1)[at] for state in states]).astype(np.float32)
        for i, at in enumerate(positions)
    )
    moved = [
        [np.abs(b - a).max() for a, b in zip(before, after, strict=True)]
        for before, after in zip(states, states[1:], strict=False)
    ]
    x, y, weight = (np.stack(part) for part in zip(*batches, strict=True))
    made = Certificate(
        x=x,
        y=y,
        weight=weight,
        losses=np.array([step.loss for step in trajectory[1:]], np.float32),
        moved=np.array(moved, np.float32),
        positions=positions,
        samples=samples,
        learning_rate=float(reference.learning_rate),
        random=reference.random,
        seed=seed,
        tensorflow=importlib.metadata.version("tensorflow"),
        lowering=str(TABLE_VERSION),
        interpreters={
            p.interpreter: {"version": installed_version(p.interpreter), **p.to_json()}
            for p in parity
        },
    )
    return made.first(_steps_made(made, manifest, content))


def _steps_made(made: Certificate, manifest: Manifest, content: bytes) -> int:
    """How many steps every interpreter makes here with tolerance to spare; 1 or more.

    The first one starts from equal weights, and parity has passed it.
    """
    counts = [len(made.losses)]
    for kind in made.interpreters:
        steps = verify(manifest, content, made, kind).steps
        far = [n for n, step in enumerate(steps) if not step.strain <= _STRAIN]
        counts += far[:1]
    return max(min(counts), 1)
