"""One personalization: trials for evidence, the decision, the final adaptation.

    trials_of -> adapt on parts, look at candidates -> decide -> adapt on all, blend

It can be stopped before any step and goes on from there, also in another process: what
it holds is in `snapshot`. The procedure for other hosts is in docs/contract.md.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable

import numpy as np

from fedp.device_runtime.adaptation import Adaptation, Position, adapt
from fedp.device_runtime.budget import Meter
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.evidence import (
    Candidate,
    Evidence,
    Score,
    distinct_labels,
    trials_of,
)
from fedp.device_runtime.guards import Decision, candidates_of, decide
from fedp.device_runtime.progress import OnProgress, Progress
from fedp.device_runtime.session import Session
from fedp.device_runtime.unfinished import Snapshot
from fedp.device_runtime.weights import (
    Weights,
    all_finite,
    blended,
    from_blob,
    to_blob,
)

# Between two snapshots of a running adaptation: flash memory wears out.
_SNAPSHOT_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Result:
    """What a personalization came to.

    Attributes:
        decision: the guard's; or, where the final adaptation failed, a revert.
        evidence: what it saw.
        weights: what goes live; None for the initial model.
    """

    decision: Decision
    evidence: Evidence
    weights: Weights | None


class Personalization:
    """Takes one client's examples to a decision, in steps.

    Attributes:
        stopped_by: why the last `run` ended: "epochs" (all done), "loss", or what
            `Meter.reached` said.
        steps: optimizer steps since the very beginning.
        all_steps: how many there are at most.
        lasted: local epochs for which no trial's loss exploded.
    """

    def __init__(
        self,
        session: Session,
        x: np.ndarray,
        y: np.ndarray,
        policy: Policy,
        *,
        seed: int = 0,
        candidates: Iterable[Candidate] | None = None,
        on_progress: OnProgress | None = None,
        save: Callable[[Snapshot], None] | None = None,
    ) -> None:
        """Plans it.

        Args:
            session: of the artifact; its weights are this personalization's from now.
            x: what `Session.features` gave, [n, ...].
            y: labels [n, *label_shape].
            policy: what trains, how long, and which guard decides.
            seed: of the trials and of the order of examples.
            candidates: what to judge, also where a loss exploded on the way; by default
                what the policy's guard asks for.
            on_progress: told of every step.
            save: given a snapshot from time to time, and when it is stopped.
        """
        session.reset()
        self.stopped_by = "epochs"
        self.steps = 0
        self._session, self._x, self._y = session, x, y
        self._policy, self._seed = policy, seed
        self._on_progress, self._save = on_progress, save
        self._meter = Meter()
        wanted = candidates_of(policy) if candidates is None else candidates
        trials = trials_of(policy, y, seed)
        self._candidates = sorted(wanted) if trials else []
        self._trials = trials if self._candidates else ()
        judged = [trial.judge for trial in self._trials]
        self._judged = np.concatenate([np.zeros(0, np.int64), *judged])
        self._theta = session.save()
        self._initial = Score(*session.evaluate(x[self._judged], y[self._judged]))
        shape = (len(self._candidates), 2, len(self._judged))
        self._scores = np.full(shape, np.nan, np.float32)
        self.lasted = policy.epochs
        self._all_trials = candidates is not None
        self._job = 0  # Trials first, then the final adaptation.
        self._position = Position()
        self._first = math.nan
        self._snapshot_at = time.monotonic()
        sizes = [len(trial.adapt) for trial in self._trials] + [len(x)]
        self.all_steps = sum(map(self._steps_of, sizes))

    def run(self, meter: Meter | None = None) -> Result | None:
        """Goes on until the decision, or None: it was stopped before."""
        evidence = self.gather(meter)
        if evidence is None:
            return None
        decision = decide(evidence, self._policy)
        if not decision.keep:
            return Result(decision, evidence, None)
        adaptation = self._adapt(np.arange(len(self._x)), decision.epochs, None)
        if self._stopped(adaptation):
            return None
        weights = blended(self._theta, self._session.save(), decision.blend)
        if adaptation.finite and all_finite(weights):
            return Result(decision, evidence, weights)
        reason = "the training loss exploded or became NaN while adapting on all"
        return Result(Decision(0, 0.0, f"{reason} examples"), evidence, None)

    def gather(self, meter: Meter | None = None) -> Evidence | None:
        """Goes on until the evidence is complete, or None: it was stopped before."""
        self._meter = meter or Meter()
        while self._job < len(self._trials) and (self._finite or self._all_trials):
            trial = self._trials[self._job]
            # After that many epochs nothing is left to judge.
            epochs = max(candidate.epochs for candidate in self._candidates)
            adaptation = self._adapt(trial.adapt, epochs, trial.judge)
            if self._stopped(adaptation):
                return None
            if not adaptation.finite:
                self.lasted = min(self.lasted, adaptation.epochs)
            self._next_job()
        return self.evidence()

    def evidence(self) -> Evidence:
        """What has been found so far; what has not is NaN."""
        scores = {c: Score(*self._scores[i]) for i, c in enumerate(self._candidates)}
        classes = self._session.manifest.labels.are_classes
        distinct = distinct_labels(self._y)
        count = len(self._x)
        return Evidence(self._initial, scores, count, distinct, self._finite, classes)

    def snapshot(self) -> Snapshot:
        """All that `resume` needs."""
        manifest = self._session.manifest
        return Snapshot(
            job=self._job,
            position=self._position,
            steps=self.steps,
            lasted=self.lasted,
            scores=self._scores,
            weights=to_blob(self._session.save(), manifest.weights),
            slots=to_blob(self._session.save_slots(), manifest.slots),
        )

    def resume(self, found: Snapshot) -> bool:
        """Takes a snapshot up; False, and a fresh start, if it is not this one's."""
        manifest = self._session.manifest
        if found.scores.shape != self._scores.shape:
            return False
        try:
            weights = from_blob(found.weights, manifest.weights)
            slots = from_blob(found.slots, manifest.slots)
        except StateError:
            return False
        self._session.restore(weights)
        self._session.restore_slots(slots)
        self._job, self._position = found.job, found.position
        self._first = found.position.first
        self.steps, self.lasted = found.steps, found.lasted
        self._scores = found.scores
        return True

    @property
    def _finite(self) -> bool:
        return self.lasted >= self._policy.epochs

    def _adapt(
        self, part: np.ndarray, epochs: int, judge: np.ndarray | None
    ) -> Adaptation:
        """The current job, from where it stands."""
        policy = dataclasses.replace(self._policy, epochs=epochs)

        def after_epoch(epoch: int, loss: float, _session: Session) -> None:
            if not math.isfinite(loss):
                return
            if judge is not None:
                self._look(epoch, judge)
            self._position = Position(epoch, first=self._first)
            since = time.monotonic() - self._snapshot_at
            if self._save and since >= _SNAPSHOT_SECONDS:
                self._keep_snapshot()

        def after_step(epoch: int, loss: float) -> None:
            self.steps += 1
            self._first = loss if math.isnan(self._first) else self._first
            if self._on_progress:
                self._on_progress(self._progress(epoch, epochs, loss))

        return adapt(
            self._session,
            self._x[part],
            self._y[part],
            policy,
            batch_size=self._session.manifest.batch_size,
            meter=self._meter,
            seed=self._seed,
            start=self._position,
            on_epoch=after_epoch,
            on_step=after_step,
        )

    def _look(self, epoch: int, judge: np.ndarray) -> None:
        """Evaluates this epoch's candidates and leaves the session as it was."""
        chosen = [i for i, c in enumerate(self._candidates) if c.epochs == epoch]
        if not chosen:
            return
        session = self._session
        adapted, slots = session.save(), session.save_slots()
        begin = sum(len(trial.judge) for trial in self._trials[: self._job])
        at = slice(begin, begin + len(judge))
        moved = any(self._candidates[i].blend != 1 for i in chosen)
        for i in chosen:
            if moved:
                session.restore(
                    blended(self._theta, adapted, self._candidates[i].blend)
                )
            scores = session.evaluate(self._x[judge], self._y[judge])
            self._scores[i, :, at] = np.stack(scores)
        if moved:
            session.restore(adapted)
            session.restore_slots(slots)

    def _stopped(self, adaptation: Adaptation) -> bool:
        self.stopped_by = adaptation.stopped_by
        if adaptation.stopped_by in ("epochs", "loss"):
            return False
        self._position = adaptation.position
        if self._save:
            self._keep_snapshot()
        return True

    def _keep_snapshot(self) -> None:
        assert self._save is not None
        self._save(self.snapshot())
        self._snapshot_at = time.monotonic()

    def _next_job(self) -> None:
        self._job += 1
        self._position, self._first = Position(), math.nan
        self._session.reset()

    def _progress(self, epoch: int, epochs: int, loss: float) -> Progress:
        judging = self._job < len(self._trials)
        return Progress(
            phase="judging" if judging else "adapting",
            trial=self._job + 1 if judging else 0,
            trials=len(self._trials),
            epoch=epoch,
            epochs=epochs,
            steps=self.steps,
            all_steps=self.all_steps,
            loss=loss,
            seconds=self._meter.seconds,
        )

    def _steps_of(self, examples: int) -> int:
        size = self._session.manifest.batch_size
        return math.ceil(examples / size) * self._policy.epochs
