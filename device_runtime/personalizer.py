"""The device's front door: predict, personalize, keep or fall back, remember."""

from __future__ import annotations

import contextlib
import math
import pathlib
import threading
import time
from types import TracebackType

import numpy as np

from fedp.device_runtime.adaptation import Budget, OnEpoch, adapt
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.baking import bake, initial_weights
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError, DataError, StateError
from fedp.device_runtime.example_store import Examples
from fedp.device_runtime.examples import examples_for, inputs_for
from fedp.device_runtime.generations import Row
from fedp.device_runtime.guard import Decision, Evidence, Score, decide
from fedp.device_runtime.inference_model import InferenceModel
from fedp.device_runtime.live_watch import LiveWatch, compare
from fedp.device_runtime.outcome import Outcome, Status, describe, to_json
from fedp.device_runtime.session import Session, answer_shape
from fedp.device_runtime.signing import PublicKey
from fedp.device_runtime.skeleton import read_skeleton
from fedp.device_runtime.store import Store
from fedp.device_runtime.watch import OutcomePair, Verdict, WatchPolicy
from fedp.device_runtime.weights import (
    Weights,
    all_finite,
    blob_size,
    from_blob,
    to_blob,
)


class Personalizer:
    """Serves a model and adapts it to one client's examples.

    After every failure, `predict` goes on with the model that was live before.
    `predict` and `status` may be called from other threads at any time.

    Attributes:
        manifest: of the artifact.
        interpreter: kind of interpreter that runs it.
    """

    def __init__(
        self,
        manifest: Manifest,
        content: bytes,
        store: Store,
        interpreter: str | None,
        threads: int,
        watch: WatchPolicy | None,
    ) -> None:
        """Use `Personalizer.open`."""
        self.manifest = manifest
        self._content = content
        self._skeleton = read_skeleton(content)
        self._store = store
        self._threads = threads
        self._kind = interpreter
        live = store.newest()
        self._serving: InferenceModel | Session | None
        self._serving = self._model(live and live.weights)
        self._live = live and live.id
        self._row: Row | None = None
        self._watch = LiveWatch(store, watch or WatchPolicy())
        self._initial: InferenceModel | Session | None = None
        self.interpreter = self._kind = self._serving.interpreter
        self._serving_lock = threading.Lock()
        # One change of the live model at a time.
        self._changing = threading.Lock()

    @classmethod
    def open(
        cls,
        artifact: str | pathlib.Path,
        state_dir: str | pathlib.Path | None = None,
        *,
        interpreter: str | None = None,
        threads: int = 1,
        public_key: PublicKey | None = None,
        watch: WatchPolicy | None = None,
    ) -> Personalizer:
        """Opens an artifact with whichever of its models is live on this device.

        Args:
            artifact: path of the file that `fedp export` wrote.
            state_dir: where this device's state lives; None keeps it in memory.
            interpreter: "ai_edge_litert" or "tflite_runtime"; by default the fastest
                one installed.
            threads: CPU threads of the interpreter.
            public_key: of whoever must have signed the artifact: path of a PEM file,
                its bytes, or the 32 bytes of an Ed25519 key. No byte of another file
                reaches an interpreter. None takes unsigned files too.
            watch: how much evidence `record_outcome` and `record_feedback` need; a
                revert stands, so `restore_evidence` plays no part.

        Raises:
            ArtifactError: the artifact cannot be used, or is not signed by that key.
            SigningKeyError: the public key cannot be read.
            StateError: the state is another artifact's, or cannot be read or made.
            MissingDependencyError: no interpreter is installed, or a key is given and
                `cryptography` is not.
        """
        manifest, content = read_artifact(artifact, public_key)
        store = Store.open(state_dir, manifest.sha256, blob_size(manifest.weights))
        try:
            return cls(manifest, content, store, interpreter, threads, watch)
        except BaseException:
            store.close()
            raise

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Answers of the live model, float32 [n, ..., C]: class probabilities.

        Args:
            x: inputs [n, *input_shape]: uint8 or float32, or integer tokens; see
                `inputs_for`.

        Raises:
            DataError: x does not fit the model.
            ArtifactError: the model does not answer as its manifest says.
        """
        inputs = inputs_for(x, self.manifest)
        self._follow()
        with self._serving_lock:
            answers = self._infer(inputs)
        shape = (len(inputs), *answer_shape(self.manifest))
        if answers.shape != shape:
            raise ArtifactError(
                f"the artifact answers with {list(answers.shape)} where its manifest "
                f"says {list(shape)}: export the model again"
            )
        return answers

    def bake(self) -> bytes:
        """The live model as a stock TFLite file: x -> class probabilities.

        Raises:
            ArtifactError: the artifact was exported without an inference skeleton.
            StateError: the state cannot be read.
        """
        row = self._store.newest()
        return self._baked(row and row.weights)

    def add_example(
        self, x: np.ndarray, y: np.ndarray | int, *, source: str = ""
    ) -> int:
        """Stores one example for `personalize`; it is on disk when this returns.

        Args:
            x: one input [*input_shape], as a row for `predict`.
            y: its label, or labels [*label_shape].
            source: where it comes from, in the app's words.

        Returns:
            Its id, for `delete_example`.

        Raises:
            DataError: x or y does not fit the model.
            StateError: it cannot be written.
        """
        x, y = np.asarray(x), np.asarray(y)
        examples_for(x[None], y[None], self.manifest)
        return self._store.add_example(x, y, source=source)

    def examples(self) -> Examples:
        """The stored examples, newest last: their ids, x and y.

        Raises:
            StateError: the state cannot be read.
        """
        return self._store.examples()

    def keep_examples(
        self,
        *,
        capacity: int | None = None,
        age_limit_seconds: float | None = None,
        policy: str | None = None,
    ) -> None:
        """Bounds the stored examples; see `Store.configure`. The state remembers it.

        Args:
            capacity: most examples; 1000 in a new state.
            age_limit_seconds: age at which one goes; infinite: never.
            policy: which stay, "newest" or "reservoir": a uniform sample of all.

        Raises:
            DataError: a value that means nothing.
            StateError: it cannot be written.
        """
        self._store.configure(
            capacity=capacity, age_limit_seconds=age_limit_seconds, policy=policy
        )

    def delete_example(self, number: int) -> bool:
        """Deletes one stored example; whether there was one.

        What the live model learned from it stays until `personalize`, or `forget`.

        Raises:
            StateError: the state cannot be written.
        """
        return self._store.delete_example(number)

    def forget(self) -> Status:
        """Deletes all examples and everything learned from them, of every artifact.

        Raises:
            StateError: the state cannot be written; nothing is forgotten then.
        """
        with self._changing:
            initial = self._model(None)
            self._store.forget()
            self._serve(initial, None)
            return self.status()

    def personalize(
        self,
        x: np.ndarray | None = None,
        y: np.ndarray | None = None,
        *,
        budget: Budget | None = None,
        seed: int = 0,
        on_epoch: OnEpoch | None = None,
    ) -> Outcome:
        """Adapts the initial model to a client's examples and keeps it if it is better.

        A part of the examples is held out. The adapted model goes live if the guard
        finds it better than the initial one on that part; else the initial one does.

        Args:
            x: inputs [n, *input_shape], as for `predict`; n may be 0. None takes the
                stored examples.
            y: labels [n, *label_shape]: integers, or numbers for a regression.
            budget: what the adaptation may cost.
            seed: of the hold-out and of the order of examples.
            on_epoch: told of every local epoch, see `adapt`.

        Raises:
            DataError: x or y do not fit the model.
            StateError: another process or thread is adapting this state, or the result
                cannot be stored; what was live stays live.
        """
        started = time.monotonic()
        if (x is None) != (y is None):
            raise DataError("x and y belong together: give both, or none of them")
        if x is None or y is None:
            x, y = self._stored()
        x, y = examples_for(x, y, self.manifest)
        with self._store.adapting(), self._changing:
            policy = self.manifest.policy
            held, rest = split_hold_out(len(x), policy.hold_out, seed)
            session = self._session(None)
            # What is frozen runs once an example, not once an epoch.
            x = session.features(x)
            initial = Score(*session.evaluate(x[held], y[held]))
            adaptation = adapt(
                session,
                x[rest],
                y[rest],
                policy,
                batch_size=self.manifest.batch_size,
                budget=budget,
                seed=seed,
                on_epoch=on_epoch,
            )
            personalized = Score(*session.evaluate(x[held], y[held]))
            weights = session.save()
            finite = adaptation.finite and all_finite(weights)
            evidence = Evidence(
                initial,
                personalized,
                len(rest),
                finite,
                self.manifest.labels.are_classes,
            )
            decision = decide(evidence, policy)
            generation = self._store_and_serve(weights, decision, evidence)
        seconds = time.monotonic() - started
        return describe(generation, decision, evidence, adaptation, seconds)

    def record_outcome(self, x: np.ndarray, y: np.ndarray | int) -> Verdict | None:
        """Compares live and initial model on an example whose label has come in.

        When the live model has become worse, the initial one goes live again, until
        the next `personalize`; `rollback` takes that back.

        Args:
            x: one input [*input_shape], as a row for `predict`.
            y: its label, or labels [*label_shape].

        Returns:
            The watch's verdict; None while the initial model is live.

        Raises:
            DataError: x or y does not fit the model.
            StateError: the state cannot be written; what was live stays live.
        """
        rows, labels = np.asarray(x)[None], np.asarray(y)[None]
        _, labels = examples_for(rows, labels, self.manifest)
        inputs = inputs_for(rows, self.manifest)
        with self._changing:
            row = self._watched()
            if row is None:
                return None
            if self._initial is None:
                self._initial = self._model(None)
            with self._serving_lock:
                live = self._infer(inputs)[0]
            initial = self._initial.infer(inputs)[0]
            pair = compare(live, initial, labels[0], self.manifest)
            return self._judge(row, pair)

    def record_feedback(self, correct: bool | float) -> Verdict | None:
        """Notes whether the live model was right, where the example is not at hand.

        The initial model's accuracy on the guard's evidence stands in for its answer,
        so a drift takes longer to find than with `record_outcome`.

        Args:
            correct: whether its answer was right; of a sequence, the share, 0..1.

        Returns:
            The watch's verdict; None while the initial model is live.

        Raises:
            DataError: `correct` is no share.
            StateError: the state cannot be written; what was live stays live.
        """
        with self._changing:
            row = self._watched()
            return row and self._judge(row, OutcomePair(float(correct), None))

    def rollback(self) -> Status:
        """Forgets the live generation; the one before it, or the initial model, serves.

        Raises:
            StateError: the state cannot be written; what was live stays live.
        """
        with self._changing:
            row = self._store.newest(1)
            before = self._model(row and row.weights)
            self._store.rollback()
            self._serve(before, row and row.id)
            return self.status()

    def reset(self) -> Status:
        """Goes back to the initial model; forgets all generations, also damaged ones.

        Raises:
            StateError: the state cannot be written; what was live stays live.
        """
        with self._changing:
            initial = self._model(None)
            self._store.reset()
            self._serve(initial, None)
            return self.status()

    def status(self) -> Status:
        """What is live on this device, and why.

        Raises:
            StateError: the state cannot be read.
        """
        row = self._store.newest()
        damage = self._store.damage()
        live = "initial" if row is None or row.weights is None else row.id
        warning = f"the state was damaged ({damage}): serving {_model_name(live)}"
        return Status(
            live=live,
            generations=self._store.count(),
            artifact=self.manifest.sha256,
            decision=row and row.decision,
            reason=row and row.reason,
            created=row and row.created,
            state=str(self._store.path) if self._store.path else None,
            warnings=(warning,) if damage else (),
        )

    def close(self) -> None:
        """Lets go of the interpreter and the state; safe to call twice."""
        with self._changing, self._serving_lock:
            self._serving = None
            self._store.close()

    def __enter__(self) -> Personalizer:
        """Closes itself at the end of a `with`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See `close`."""
        self.close()

    def _session(self, weights: bytes | None) -> Session:
        """A fresh session with these weights, or with the initial model."""
        session = Session.open(self.manifest, self._content, self._kind, self._threads)
        if weights is not None:
            session.restore(from_blob(weights, self.manifest.weights))
        return session

    def _model(self, weights: bytes | None) -> InferenceModel | Session:
        """What predicts with these weights, or with the initial model's."""
        if self._skeleton is None:
            return self._session(weights)
        return InferenceModel(self._baked(weights), self._kind, self._threads)

    def _baked(self, weights: bytes | None) -> bytes:
        if self._skeleton is None:
            raise ArtifactError(
                "the artifact has no inference skeleton to bake the weights into: "
                "export the model with this fedp release; if `fedp export` then says "
                "that it has none, predict with fedp"
            )
        if weights is None:
            weights = initial_weights(self._content, self._skeleton)
        if weights is None:
            weights = to_blob(self._session(None).save(), self.manifest.weights)
        return bake(self._content, self._skeleton, weights)

    def _store_and_serve(
        self, weights: Weights, decision: Decision, evidence: Evidence
    ) -> int:
        kept = to_blob(weights, self.manifest.weights) if decision.keep else None
        # Made before the commit: after it, nothing may fail.
        ready = self._model(kept)
        name = "keep" if decision.keep else "revert"
        generation = self._store.commit(kept, name, decision.reason, to_json(evidence))
        self._serve(ready, generation)
        return generation

    def _serve(self, model: InferenceModel | Session, generation: int | None) -> None:
        with self._serving_lock:
            self._serving, self._live = model, generation

    def _follow(self) -> None:
        """Serves what another process has made live; costs microseconds otherwise."""
        if self._store.path is None or not self._changing.acquire(blocking=False):
            return
        # A state that cannot be read is no reason not to predict.
        try:
            with contextlib.suppress(StateError):
                self._refresh()
        finally:
            self._changing.release()

    def _refresh(self) -> None:
        if self._serving is not None and self._store.changed():
            row = self._store.newest()
            if (row and row.id) != self._live:
                self._serve(self._model(row and row.weights), row and row.id)

    def _infer(self, inputs: np.ndarray) -> np.ndarray:
        """Asks the live model; under the serving lock."""
        if self._serving is None:
            raise StateError("this Personalizer is closed: open it again")
        return self._serving.infer(inputs)

    def _watched(self) -> Row | None:
        """The live generation, if its model is a personalized one; its weights not."""
        self._refresh()
        if self._row is None or self._row.id != self._live:
            row = self._store.newest()
            personalized = row is not None and row.weights is not None
            # Read once a generation: megabytes an outcome would cost more than it.
            self._row = row._replace(weights=None) if row and personalized else None
        return self._row

    def _judge(self, row: Row, outcome: OutcomePair) -> Verdict:
        verdict = self._watch.record(row, outcome)
        if verdict.reverted:
            ready = self._model(None)
            number = self._store.commit(None, "revert", verdict.reason, row.evidence)
            self._serve(ready, number)
            self._watch.settle()
        return verdict

    def _stored(self) -> tuple[np.ndarray, np.ndarray]:
        stored = self._store.examples()
        if len(stored.ids):
            return stored.x, stored.y
        labels = self.manifest.labels
        shapes = (self.manifest.input_shape, labels.shape)
        kinds = (self.manifest.input_dtype, labels.dtype)
        x, y = (np.zeros((0, *s), k) for s, k in zip(shapes, kinds, strict=True))
        return x, y


def split_hold_out(
    count: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits 0..count-1 at random into a hold-out and the rest, which gets the first.

    Returns:
        Numbers of the held-out examples, int64 [round(count * share)], and the others.
    """
    order = np.random.default_rng((seed, 1)).permutation(count)
    held = min(math.floor(count * share + 0.5), max(count - 1, 0))
    return order[:held], order[held:]


def _model_name(live: int | str) -> str:
    return f"generation {live}" if isinstance(live, int) else "the initial model"
