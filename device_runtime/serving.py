"""The model that is live in this process, and the switch to another one."""

from __future__ import annotations

import contextlib
import threading

import numpy as np

from fedp.device_runtime.baking import bake, initial_weights
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError, StateError
from fedp.device_runtime.inference_model import InferenceModel
from fedp.device_runtime.session import Session
from fedp.device_runtime.skeleton import read_skeleton
from fedp.device_runtime.store import Store
from fedp.device_runtime.weights import from_blob, to_blob

Model = InferenceModel | Session


class Serving:
    """Predicts with a state's live model; threads may share it.

    Attributes:
        changing: held by whoever changes the live model: one at a time.
        live: id of the generation that is served; None for the initial model.
        interpreter: kind of interpreter that runs it.
    """

    def __init__(
        self,
        manifest: Manifest,
        content: bytes,
        store: Store,
        interpreter: str | None,
        threads: int,
    ) -> None:
        """Serves what the store says is live."""
        self.changing = threading.Lock()
        self._manifest, self._content, self._store = manifest, content, store
        self._skeleton = read_skeleton(content)
        self._kind, self._threads = interpreter, threads
        self._lock = threading.Lock()
        newest = store.newest()
        self.live = newest and newest.id
        self._model: Model | None = self.model(newest and newest.weights)
        self.interpreter = self._kind = self._model.interpreter

    def session(self) -> Session:
        """A fresh session of the initial model."""
        return Session.open(self._manifest, self._content, self._kind, self._threads)

    def model(self, weights: bytes | None) -> Model:
        """What predicts with these weights, or with the initial model's."""
        if self._skeleton is not None:
            return InferenceModel(self.baked(weights), self._kind, self._threads)
        session = self.session()
        if weights is not None:
            session.restore(from_blob(weights, self._manifest.weights))
        return session

    def baked(self, weights: bytes | None) -> bytes:
        """A stock TFLite file of the model with these weights.

        Raises:
            ArtifactError: the artifact was exported without an inference skeleton.
        """
        if self._skeleton is None:
            raise ArtifactError(
                "the artifact has no inference skeleton to bake the weights into: "
                "export the model with this fedp release; if `fedp export` then says "
                "that it has none, predict with fedp"
            )
        if weights is None:
            weights = initial_weights(self._content, self._skeleton)
        if weights is None:
            weights = to_blob(self.session().save(), self._manifest.weights)
        return bake(self._content, self._skeleton, weights)

    def infer(self, inputs: np.ndarray) -> np.ndarray:
        """Answers of the live model; see `Session.infer`.

        Raises:
            StateError: it is closed.
        """
        with self._lock:
            if self._model is None:
                raise StateError("this Personalizer is closed: open it again")
            return self._model.infer(inputs)

    def serve(self, model: Model, generation: int | None) -> None:
        """Makes a model live at once: a call of `infer` has the one or the other."""
        with self._lock:
            self._model, self.live = model, generation

    def follow(self) -> None:
        """Serves what another process has made live; costs microseconds otherwise."""
        if self._store.path is None or not self.changing.acquire(blocking=False):
            return
        # A state that cannot be read is no reason not to predict.
        try:
            with contextlib.suppress(StateError):
                self.refresh()
        finally:
            self.changing.release()

    def refresh(self) -> None:
        """As `follow`, for whoever holds `changing`.

        Raises:
            StateError: the state cannot be read.
        """
        if self._model is not None and self._store.changed():
            row = self._store.newest()
            if (row and row.id) != self.live:
                self.serve(self.model(row and row.weights), row and row.id)

    def close(self) -> None:
        """Lets go of the model; safe to call twice."""
        with self.changing, self._lock:
            self._model = None
