"""The device's front door: predict, personalize, keep or fall back, remember."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from types import TracebackType

import numpy as np

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.budget import Budget, Meter
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError, DataError
from fedp.device_runtime.example_store import Examples
from fedp.device_runtime.examples import examples_for, inputs_for
from fedp.device_runtime.generations import Row
from fedp.device_runtime.live_watch import LiveWatch, compare
from fedp.device_runtime.local_privacy import Release
from fedp.device_runtime.metrics import Metrics
from fedp.device_runtime.outcome import (
    Outcome,
    Status,
    describe,
    describe_stop,
    figures_of,
    to_json,
)
from fedp.device_runtime.personalization import Personalization, Result
from fedp.device_runtime.progress import OnProgress
from fedp.device_runtime.serving import Model, Serving
from fedp.device_runtime.session import answer_shape
from fedp.device_runtime.signing import PublicKey
from fedp.device_runtime.state_metrics import metrics_of_state, release_of_state
from fedp.device_runtime.store import Store
from fedp.device_runtime.unfinished import Snapshot, digest_of, key_of
from fedp.device_runtime.watch import OutcomePair, Verdict, WatchPolicy
from fedp.device_runtime.weights import blob_size, to_blob


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
        store: Store,
        serving: Serving,
        watch: WatchPolicy | None,
    ) -> None:
        """Use `Personalizer.open`."""
        self.manifest = manifest
        self._store = store
        self._serving = serving
        self.interpreter = self._serving.interpreter
        self._watch = LiveWatch(store, watch or WatchPolicy())
        self._row: Row | None = None
        self._initial: Model | None = None

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
            serving = Serving(manifest, content, store, interpreter, threads)
            return cls(manifest, store, serving, watch)
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
        self._serving.follow()
        answers = self._serving.infer(inputs)
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
        return self._serving.baked(row and row.weights)

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
        with self._serving.changing:
            initial = self._serving.model(None)
            self._store.forget()
            self._serving.serve(initial, None)
            return self.status()

    def personalize(
        self,
        x: np.ndarray | None = None,
        y: np.ndarray | None = None,
        *,
        budget: Budget | None = None,
        seed: int = 0,
        should_stop: Callable[[], bool] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        """Adapts the initial model to a client's examples and keeps it if it is better.

        The policy's guard judges on examples that were not adapted on; what goes live
        is adapted on all of them, or is the initial model. An adaptation that a limit
        stops, or the end of the process, goes on from there with the next call of the
        same policy and seed: with the same x and y, or, where these are the stored
        examples, with those that it began with, if none of them was deleted.

        Args:
            x: inputs [n, *input_shape], as for `predict`; n may be 0. None takes the
                stored examples.
            y: labels [n, *label_shape]: integers, or numbers for a regression.
            budget: what this call may cost.
            seed: of the guard's trials and of the order of examples.
            should_stop: asked before every step whether to stop: battery, heat, the
                user is back.
            on_progress: told of every step.

        Returns:
            What was decided, or how far it came: decision "unfinished".

        Raises:
            DataError: x or y do not fit the model.
            StateError: another process or thread is adapting this state, all was
                forgotten meanwhile, or the result cannot be stored; what was live
                stays live.
        """
        budget = budget or Budget()
        meter = Meter(budget, should_stop)
        if (x is None) != (y is None):
            raise DataError("x and y belong together: give both, or none of them")
        policy = budget.applied(self.manifest.policy)
        key = key_of(policy, seed)
        with self._store.adapting():
            stopped = Snapshot.from_bytes(self._store.unfinished(key) or b"")
            ids: list[int] = []
            if x is None or y is None:
                x, y, ids = self._own(stopped.ids if stopped else [])
            x, y = examples_for(x, y, self.manifest)
            if budget.examples is not None and len(x) > budget.examples:
                newest = slice(len(x) - budget.examples, None)
                x, y, ids = x[newest], y[newest], ids[newest]
            digest = digest_of(x, y)
            session = self._serving.session()

            def save(snapshot: Snapshot) -> None:
                marked = dataclasses.replace(snapshot, digest=digest, ids=ids)
                self._store.save_unfinished(marked.to_bytes(), key)

            run = Personalization(
                session,
                # What is frozen runs once an example, not once an epoch.
                session.features(x),
                y,
                policy,
                seed=seed,
                on_progress=on_progress,
                save=save,
            )
            if stopped and stopped.digest == digest:
                run.resume(stopped)
            result = run.run(meter)
            if result is None:
                return describe_stop(run, meter)
            generation = self._switch(result)
        return describe(generation, result, run, meter)

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
        with self._serving.changing:
            row = self._watched()
            if row is None:
                return None
            if self._initial is None:
                self._initial = self._serving.model(None)
            live = self._serving.infer(inputs)[0]
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
        with self._serving.changing:
            row = self._watched()
            return row and self._judge(row, OutcomePair(float(correct), None))

    def rollback(self) -> Status:
        """Forgets the live generation; the one before it, or the initial model, serves.

        Raises:
            StateError: the state cannot be written; what was live stays live.
        """
        with self._serving.changing:
            row = self._store.newest(1)
            before = self._serving.model(row and row.weights)
            self._store.rollback()
            self._serving.serve(before, row and row.id)
            return self.status()

    def reset(self) -> Status:
        """Goes back to the initial model; forgets all generations, also damaged ones.

        Raises:
            StateError: the state cannot be written; what was live stays live.
        """
        with self._serving.changing:
            initial = self._serving.model(None)
            self._store.reset()
            self._serving.serve(initial, None)
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

    def metrics(self) -> Metrics:
        """What may leave the device: a few rounded numbers; see docs/privacy.md.

        Raises:
            StateError: the state cannot be read.
        """
        return metrics_of_state(self._store)

    def private_metrics(self, epsilon: float, *, renew: bool = False) -> Release:
        """The same under local differential privacy: a few noisy bits.

        Args:
            epsilon: 0.001 to 20; the smaller, the more noise. Asked again, the answer
                is the same and costs nothing.
            renew: answer anew, which costs another epsilon.

        Raises:
            FedpError: an epsilon out of range, or another than was answered with.
            DataError: damage has taken what was released.
            StateError: the state cannot be read or written.
        """
        return release_of_state(self._store, epsilon, renew=renew)

    def close(self) -> None:
        """Lets go of the interpreter and the state; safe to call twice."""
        self._serving.close()
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

    def _switch(self, result: Result) -> int:
        """Stores a result and serves it; the generation's id."""
        specs = self.manifest.weights
        kept = None if result.weights is None else to_blob(result.weights, specs)
        name = "revert" if kept is None else "keep"
        evidence = to_json(result.decision, result.evidence)
        with self._serving.changing:
            # Made before the commit: after it, nothing may fail.
            ready = self._serving.model(kept)
            reason = result.decision.reason
            generation = self._store.commit(
                kept, name, reason, evidence, figures=figures_of(result)
            )
            self._serving.serve(ready, generation)
        return generation

    def _watched(self) -> Row | None:
        """The live generation, if its model is a personalized one; its weights not."""
        self._serving.refresh()
        if self._row is None or self._row.id != self._serving.live:
            row = self._store.newest()
            personalized = row is not None and row.weights is not None
            # Read once a generation: megabytes an outcome would cost more than it.
            self._row = row._replace(weights=None) if row and personalized else None
        return self._row

    def _judge(self, row: Row, outcome: OutcomePair) -> Verdict:
        verdict = self._watch.record(row, outcome)
        if verdict.reverted:
            ready = self._serving.model(None)
            texts = ("revert", verdict.reason, row.evidence)
            number = self._store.commit(None, *texts, withdrawn=True)
            self._serving.serve(ready, number)
            self._watch.settle()
        return verdict

    def _own(self, ids: list[int]) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """The stored examples and their ids; only these ids, if all are there still."""
        stored = self._store.examples()
        found = [int(number) for number in stored.ids]
        if not found:
            labels = self.manifest.labels
            shapes = (self.manifest.input_shape, labels.shape)
            kinds = (self.manifest.input_dtype, labels.dtype)
            x, y = (np.zeros((0, *s), k) for s, k in zip(shapes, kinds, strict=True))
            return x, y, []
        if ids and set(ids) <= set(found):
            rows = [found.index(number) for number in ids]
            return stored.x[rows], stored.y[rows], ids
        return stored.x, stored.y, found


def _model_name(live: int | str) -> str:
    return f"generation {live}" if isinstance(live, int) else "the initial model"
