"""Two models of one artifact, the initial and the live one, and what a page asks."""

from __future__ import annotations

import dataclasses
import pathlib
from types import TracebackType
from typing import Any

import numpy as np

from fedp.demo.adapting import Adapting
from fedp.demo.inputs import (
    drawing_size,
    example_of,
    input_of,
    stored_like,
    to_json,
)
from fedp.device_runtime import Budget, Personalizer
from fedp.device_runtime.errors import DataError
from fedp.device_runtime.examples import examples_for
from fedp.device_runtime.signing import PublicKey

SOURCE = "fedp demo"


class Device:
    """A device runtime as JSON; threads may share it.

    Attributes:
        adapting: its adaptations.
    """

    def __init__(
        self, initial: Personalizer, live: Personalizer, budget: Budget, seed: int
    ) -> None:
        """Use `Device.open`."""
        self._initial, self._live = initial, live
        self._manifest = live.manifest
        self.adapting = Adapting(live, budget, seed)

    @classmethod
    def open(
        cls,
        artifact: str | pathlib.Path,
        state: str | pathlib.Path | None = None,
        *,
        interpreter: str | None = None,
        public_key: PublicKey | None = None,
        budget: Budget | None = None,
        seed: int = 0,
    ) -> Device:
        """Opens an artifact twice: with its state, and as it was exported.

        Args:
            artifact: path of the file that `fedp export` wrote.
            state: directory of the state; None keeps it in memory.
            interpreter: as for `Personalizer.open`.
            public_key: as for `Personalizer.open`.
            budget: what one adaptation may cost.
            seed: of what an adaptation draws.

        Raises:
            FedpError: as `Personalizer.open`.
        """
        live = Personalizer.open(
            artifact, state, interpreter=interpreter, public_key=public_key
        )
        try:
            initial = Personalizer.open(
                artifact, interpreter=interpreter, public_key=public_key
            )
        except BaseException:
            live.close()
            raise
        return cls(initial, live, budget or Budget(), seed)

    def close(self) -> None:
        """Stops an adaptation and closes both models."""
        self.adapting.close()
        self._live.close()
        self._initial.close()

    def __enter__(self) -> Device:
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

    def model(self) -> dict[str, Any]:
        """What the page must know of the artifact."""
        manifest = self._manifest
        return {
            "name": manifest.model,
            "sha256": manifest.sha256,
            "classes": manifest.classes,
            "are_classes": manifest.labels.are_classes,
            "input_shape": manifest.input_shape,
            "label_shape": manifest.labels.shape,
            "drawing": drawing_size(manifest),
            "interpreter": self._live.interpreter,
            "guard": manifest.policy.guard,
        }

    def status(self) -> dict[str, Any]:
        """What is live, and why."""
        found = dataclasses.asdict(self._live.status())
        del found["state"]  # A path is none of the page's business.
        return {**found, "adapting": self.adapting.running}

    def predict(self, entry: Any) -> dict[str, Any]:
        """Both models' answers to one input, [*label_shape, C], and which is live."""
        x = input_of(entry, self._manifest)[None]
        initial, generation = self._initial.predict(x)[0], None
        # Another model may go live in between.
        while generation != (now := self._live.status().live):
            generation, live = now, self._live.predict(x)[0]
        return {
            "initial": to_json(initial),
            "live": to_json(live),
            "generation": generation,
        }

    def examples(self, after: int) -> dict[str, Any]:
        """Ids of all stored examples that fit the model, and those after one id."""
        stored = self._live.examples()
        try:
            x, _ = examples_for(stored.x, stored.y, self._manifest)
        except DataError:
            return {"ids": [], "examples": [], "strange": len(stored.ids)}
        rows = [
            {"id": int(number), "x": to_json(one), "y": to_json(label)}
            for number, one, label in zip(stored.ids, x, stored.y, strict=True)
            if number > after
        ]
        return {"ids": stored.ids.tolist(), "examples": rows, "strange": 0}

    def add(self, entries: Any) -> dict[str, Any]:
        """Stores examples, all or, if one is wrong, none."""
        if not isinstance(entries, list) or not entries:
            raise DataError('no examples: give a list of {"x": ..., "y": ...}')
        examples = []
        for number, entry in enumerate(entries):
            try:
                examples.append(example_of(entry, self._manifest))
            except DataError as error:
                raise DataError(f"example {number}: {error}") from error
        return {"ids": [self._store(x, y) for x, y in examples]}

    def label(self, entry: Any) -> dict[str, Any]:
        """Stores what a person has labelled, and tells the watch how the models did."""
        x, y = example_of(entry, self._manifest)
        verdict = self._live.record_outcome(x, y)
        number = self._store(x, y)
        reason = verdict.reason if verdict and verdict.reverted else None
        return {"id": number, "reverted": reason}

    def delete(self, number: int) -> dict[str, Any]:
        """Deletes one example."""
        return {"deleted": self._live.delete_example(number)}

    def roll_back(self) -> dict[str, Any]:
        """Makes the model before the live one live.

        Raises:
            BusyError: an adaptation runs.
        """
        self.adapting.check_idle()
        self._live.rollback()
        self.adapting.clear()
        return self.status()

    def forget(self) -> dict[str, Any]:
        """Stops an adaptation; deletes all examples and what was learned from them."""
        self.adapting.stop()
        self._live.forget()
        self.adapting.clear()
        return self.status()

    def _store(self, x: np.ndarray, y: np.ndarray) -> int:
        x, y = stored_like(x, y, self._live.examples())
        return self._live.add_example(x, y, source=SOURCE)
