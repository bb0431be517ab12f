"""RUN/policy.json: the policy that `fedp tune` chose for a run's model, and how."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import RunError
from fedp.training.checkpoints import write_run_file
from fedp.training.configuration import TrainingConfig
from fedp.training.run_directory import Run

FILE = "policy.json"


@dataclasses.dataclass(frozen=True)
class TunedPolicy:
    """A policy, and for which model it was chosen.

    Attributes:
        policy: what was chosen.
        stage: after which the model was taken.
        weights: `weights_hash` of the model.
        clients: how many validation clients it was chosen on.
        max_hurt: largest share of hurt clients that was allowed.
        met: whether the limit was met.
        how: grid, clients, seeds and result, for people.
    """

    policy: Policy
    stage: str
    weights: str
    clients: int
    max_hurt: float
    met: bool
    how: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """How it was chosen, in a sentence for the manifest."""
        on = f"tuned on {self.clients} validation clients"
        if self.met:
            return (
                f"{on} for the best deployed accuracy with at most "
                f"{self.max_hurt:.0%} of them hurt"
            )
        return f"{on} for the fewest hurt, more than the {self.max_hurt:.0%} allowed"


def policy_of_training(config: TrainingConfig) -> Policy:
    """How training's own evaluations personalize; what is used if nothing is tuned."""
    return Policy(
        learning_rate=config.client_learning_rate,
        epochs=config.personalization_epochs,
    )


def weights_hash(weights: Sequence[np.ndarray]) -> str:
    """SHA-256 of a model's weights, in hex."""
    digest = hashlib.sha256()
    for array in weights:
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_tuned(run: Run, tuned: TunedPolicy) -> None:
    """Writes RUN/policy.json, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(tuned), indent=1) + "\n"
    write_run_file(run.path / FILE, lambda file: file.write(text.encode()))


def read_tuned(run: Run, stage: str | None = None) -> TunedPolicy | None:
    """The policy that was tuned for this model of the run; None if none ever was.

    Args:
        run: its directory.
        stage: name of the stage whose model it is for; None for the last one.

    Raises:
        RunError: the file is damaged, or was written for another model.
    """
    path = run.path / FILE
    mend = (
        f"tune this model with `fedp tune {run.path}` (and --stage), or export with "
        "--untuned"
    )
    if not path.exists():
        return None
    try:
        fields = json.loads(path.read_text())
        tuned = TunedPolicy(policy=Policy(**fields.pop("policy")), **fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path} cannot be read ({error!r}): {mend}") from error
    stage = stage or run.config.stages[-1].name
    if tuned.stage != stage:
        raise RunError(
            f"{path} is for the model after stage {tuned.stage!r}, not {stage!r}: "
            f"{mend}"
        )
    if tuned.weights != weights_hash(run.weights(stage)):
        raise RunError(f"{path} is for other weights than the run holds now: {mend}")
    return tuned
