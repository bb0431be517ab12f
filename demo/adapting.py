"""One adaptation at a time, in a thread that can be watched and stopped."""

from __future__ import annotations

import dataclasses
import math
import threading
from typing import Any

from fedp.device_runtime import Budget, Outcome, Personalizer, Progress
from fedp.device_runtime.errors import FedpError


class BusyError(FedpError):
    """The model is adapting, and this would change it meanwhile."""


class Adapting:
    """Runs `Personalizer.personalize`; threads may share it."""

    def __init__(self, device: Personalizer, budget: Budget, seed: int) -> None:
        """Runs nothing yet.

        Args:
            device: what adapts.
            budget: what one adaptation may cost.
            seed: of its trials and of the order of examples.
        """
        self._device, self._budget, self._seed = device, budget, seed
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._run = 0  # Counts curves, so that a page knows which points it has.
        self._points: list[tuple[int, float | None, int]] = []
        self._progress: Progress | None = None
        self._outcome: Outcome | None = None
        self._error: str | None = None

    @property
    def running(self) -> bool:
        """Whether an adaptation runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begins an adaptation to the stored examples, or goes on with a stopped one.

        Raises:
            BusyError: one runs already.
        """
        with self._lock:
            self._check_idle()
            self._stop.clear()
            if self._outcome is None or self._outcome.decision != "unfinished":
                self._new_curve()
            self._outcome, self._error = None, None
            self._thread = threading.Thread(target=self._adapt, name="fedp-adapting")
            self._thread.start()

    def stop(self) -> None:
        """Stops the adaptation before its next step, and waits for that."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """As `stop`, for good."""
        with self._lock:
            self._closed = True
        self.stop()

    def check_idle(self) -> None:
        """Refuses what must not happen while an adaptation runs.

        Raises:
            BusyError: one runs.
        """
        with self._lock:
            self._check_idle()

    def clear(self) -> None:
        """Forgets the curve and the outcome."""
        with self._lock:
            self._new_curve()
            self._outcome, self._error = None, None

    def news(self, run: int, since: int) -> dict[str, Any]:
        """What has happened, for a page that asks again and again.

        Args:
            run: number of the curve that the page draws.
            since: how many of its points the page has.

        Returns:
            "points" of curve "run" from number "since": optimizer steps taken, training
            loss, and the trial's number, 0 for the adaptation that may go live.
        """
        with self._lock:
            since = since if run == self._run else 0
            return {
                "adapting": self.running,
                "run": self._run,
                "since": since,
                "points": self._points[since:],
                "progress": _progress(self._progress),
                "outcome": self._outcome and dataclasses.asdict(self._outcome),
                "error": self._error,
            }

    def _check_idle(self) -> None:
        if self._closed:
            raise BusyError("the demo is closing: start it again")
        if self.running:
            raise BusyError("an adaptation runs: stop it, or wait for its end")

    def _adapt(self) -> None:
        outcome, error = None, None
        try:
            outcome = self._device.personalize(
                budget=self._budget,
                seed=self._seed,
                should_stop=self._stop.is_set,
                on_progress=self._note,
            )
        except FedpError as refusal:
            error = str(refusal)
        except Exception as failure:
            error = f"unexpected {type(failure).__name__}: {failure}"
        with self._lock:
            self._outcome, self._error = outcome, error

    def _note(self, progress: Progress) -> None:
        loss = progress.loss if math.isfinite(progress.loss) else None
        with self._lock:
            # Else it goes on from where the curve ends.
            if self._points and progress.steps <= self._points[-1][0]:
                self._new_curve()
            self._progress = progress
            self._points.append((progress.steps, loss, progress.trial))

    def _new_curve(self) -> None:
        self._run += 1
        self._points, self._progress = [], None


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    loss = progress.loss if math.isfinite(progress.loss) else None
    return {**dataclasses.asdict(progress), "loss": loss, "share": progress.share}
