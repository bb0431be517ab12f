"""`fedp verify`: does this device train as TensorFlow did when the file was exported?

A certificate has samples of TensorFlow's weights, not all of them, so no step can start
from TensorFlow's state again: the steps run one after the other, and their differences
add up. Allowed is therefore a drift. A weight may differ by `WEIGHT_TOLERANCE` of how
far the steps up to here have moved it (the sum over steps of the largest entry's move),
a step's loss by `LOSS_TOLERANCE` of it. Adam divides by the size of a gradient, so that
rounding in tiny ones counts in full: its tolerances are wider, `ADAM_TIMES`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.certificate import (
    Certificate,
    certificate_path,
    read_certificate,
)
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.interpreter import available_interpreters, installed_version
from fedp.device_runtime.session import Session
from fedp.device_runtime.signing import PublicKey
from fedp.device_runtime.weights import Weights

LOSS_TOLERANCE = 1e-3  # of the loss
WEIGHT_TOLERANCE = 2e-2  # of how far the steps have moved a weight
ADAM_TIMES = 5.0
_ROUNDING = 1e-6  # float32 noise in weights that hardly move


@dataclasses.dataclass(frozen=True)
class StepCheck:
    """One training step beside TensorFlow's.

    Attributes:
        loss: before the step.
        expected_loss: TensorFlow's.
        difference: largest absolute one of a sampled entry, after the step.
        share: the largest such difference, as a share of how far the steps up to here
            have moved the entries of its weight.
        strain: the most that loss or a weight uses of its tolerance; 1 is all of it.
        failed: what is beyond tolerance: "loss", or Keras names of weights.
    """

    loss: float
    expected_loss: float
    difference: float
    share: float
    strain: float
    failed: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is beyond tolerance."""
        return not self.failed


@dataclasses.dataclass(frozen=True)
class Verification:
    """All steps on one interpreter.

    Attributes:
        interpreter: its kind.
        version: its version here.
        steps: in order.
    """

    interpreter: str
    version: str
    steps: tuple[StepCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every step is within tolerance."""
        return all(step.passed for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Plain values; numbers that are not finite are null."""
        steps = [
            {name: _plain(value) for name, value in dataclasses.asdict(step).items()}
            for step in self.steps
        ]
        facts = {"interpreter": self.interpreter, "version": self.version}
        return {**facts, "passed": self.passed, "steps": steps}


def verify_artifact(
    artifact: str | pathlib.Path,
    certificate: str | pathlib.Path | None = None,
    *,
    interpreter: str | None = None,
    public_key: PublicKey | None = None,
) -> list[Verification]:
    """Trains the certificate's steps on this device and compares them.

    Args:
        artifact: path of the file that `fedp export` wrote.
        certificate: path of its certificate; by default, beside it.
        interpreter: its kind; by default, all that are installed, one after another.
        public_key: of whoever must have signed the artifact, see `PublicKey`.

    Raises:
        ArtifactError: the artifact or the certificate cannot be used, or the two are
            not of one export.
        SigningKeyError: the public key cannot be read.
        MissingDependencyError: no interpreter is installed, or a key is given and
            `cryptography` is not.
    """
    manifest, content = read_artifact(artifact, public_key)
    path = pathlib.Path(certificate or certificate_path(artifact))
    proof = read_certificate(path, manifest)
    # Without any interpreter, loading one says what to install.
    kinds = (interpreter,) if interpreter else available_interpreters() or (None,)
    return [verify(manifest, content, proof, kind) for kind in kinds]


def verify(
    manifest: Manifest, content: bytes, proof: Certificate, kind: str | None = None
) -> Verification:
    """The same with what was read, on one interpreter."""
    session = Session.open(manifest, content, kind)
    kind = session.interpreter
    ways = np.cumsum(proof.moved, axis=0)
    steps = []
    for number, (after, loss) in enumerate(_losses(session, content, proof)):
        steps.append(_compare(after, proof, number, loss, ways[number]))
    return Verification(kind, installed_version(kind), tuple(steps))


def _losses(
    session: Session, content: bytes, proof: Certificate
) -> Iterator[tuple[Session, float]]:
    """After each step, the session that has its weights, and its loss."""
    batches = zip(proof.x, proof.y, proof.weight, strict=True)
    for number, (x, y, weight) in enumerate(batches):
        if proof.random and number:
            session = _fresh(session, content)
        x = session.features(x)
        yield session, session.train_step(x, y, weight, proof.learning_rate)


def _fresh(session: Session, content: bytes) -> Session:
    """Another interpreter in the same state: only its first draw is TensorFlow's."""
    after = Session.open(session.manifest, content, session.interpreter)
    after.restore(session.save())
    after.restore_slots(session.save_slots())
    return after


def _compare(
    session: Session, proof: Certificate, number: int, loss: float, ways: np.ndarray
) -> StepCheck:
    manifest, expected = session.manifest, float(proof.losses[number])
    gaps = _gaps(session.save(), manifest, proof, number)
    times = ADAM_TIMES if manifest.client_optimizer == "adam" else 1.0
    allowed = [
        times * LOSS_TOLERANCE * max(abs(expected), 1e-6),
        *(times * WEIGHT_TOLERANCE * ways + _ROUNDING),
    ]
    strains = np.array([abs(loss - expected), *gaps]) / allowed
    names = ["loss", *(spec.layer for spec in manifest.weights)]
    return StepCheck(
        loss=loss,
        expected_loss=expected,
        difference=float(gaps.max()),
        share=float((gaps / np.maximum(ways, _ROUNDING)).max()),
        strain=float(strains.max()),
        # Written so that NaN fails.
        failed=tuple(n for n, s in zip(names, strains, strict=True) if not s <= 1),
    )


def _gaps(
    weights: Weights, manifest: Manifest, proof: Certificate, number: int
) -> np.ndarray:
    """Largest difference of the sampled entries of each weight, after a step."""
    samples = zip(manifest.weights, proof.positions, proof.samples, strict=True)
    return np.array(
        [
            np.abs(weights[spec.name].reshape(-1)[at] - values[number + 1]).max(
                initial=0
            )
            for spec, at, values in samples
        ]
    )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
