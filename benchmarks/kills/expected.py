"""What a state must hold after each operation, and whether it does, bit for bit."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np

from fedp.device_runtime.store import Store

ARTIFACT = "a" * 64
SIZE = 60_000
CAPACITY = 12
# What is drawn, as often as it stands here.
OPERATIONS = (
    *("adding an example",) * 5,
    *("storing a generation",) * 5,
    *("saving what is unfinished",) * 3,
    *("logging an outcome",) * 2,
    *("rolling back",) * 3,
    *("deleting an example",) * 2,
    *("pruning examples",) * 2,
    "withdrawing",
    "releasing",
    "resetting",
    "forgetting",
)


def blob(number: int, size: int = SIZE) -> bytes:
    """Weights that nobody else has."""
    return np.random.default_rng(number).bytes(size)


def example(number: int) -> np.ndarray:
    """An input that nobody else has."""
    return np.random.default_rng(number).standard_normal(200).astype(np.float32)


@dataclasses.dataclass
class Expected:
    """A state's content; each thing is known by the number it was made from.

    Attributes:
        generations: id and number, newest last; None for the initial model.
        examples: id and number, newest last.
        outcomes: what was logged, oldest first.
        unfinished: its number.
        counts: adaptations, kept, withdrawn, rollbacks.
        released: what is to be remembered of releases.
        given: highest ids of examples and generations.
    """

    generations: list[tuple[int, int | None]] = dataclasses.field(default_factory=list)
    examples: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    outcomes: list[float] = dataclasses.field(default_factory=list)
    unfinished: int | None = None
    counts: list[int] = dataclasses.field(default_factory=lambda: [0] * 4)
    released: str = ""
    given: list[int] = dataclasses.field(default_factory=lambda: [0, 0])

    def after(self, operation: str, number: int) -> Expected:
        """The same after an operation."""
        new = copy.deepcopy(self)
        if operation == "adding an example":
            new.given[0] += 1
            new.examples = [*new.examples, (new.given[0], number)][-CAPACITY:]
        elif operation in ("storing a generation", "withdrawing"):
            new.given[1] += 1
            withdrawn = operation == "withdrawing"
            made = (new.given[1], None if withdrawn else number)
            new.generations = [*new.generations, made][-3:]
            if withdrawn:
                new.counts[2] += 1
            else:
                new.unfinished = None
                new.counts[0] += 1
                new.counts[1] += 1
        elif operation == "saving what is unfinished":
            new.unfinished = number
        elif operation == "logging an outcome":
            new.outcomes.append(float(number))
        elif operation == "rolling back":
            new.counts[3] += bool(new.generations)
            del new.generations[-1:]
        elif operation == "deleting an example":
            new.unfinished = None if new.examples else new.unfinished
            del new.examples[:1]
        elif operation == "pruning examples":
            new.examples = new.examples[-CAPACITY // 2 :]
        elif operation == "releasing":
            new.released = str(number)
        else:
            new.generations, new.unfinished = [], None
            if operation == "forgetting":
                new.examples, new.outcomes, new.counts = [], [], [0] * 4
        return new

    def is_in(self, store: Store) -> bool:
        """Whether the state is this one, bit for bit."""
        rows = [store.newest(skip) for skip in reversed(range(store.count()))]
        found = store.examples()
        weights = [(row.id, row.weights) for row in rows if row]
        unfinished = None if self.unfinished is None else blob(self.unfinished, 30_000)
        return (
            weights
            == [(n, None if s is None else blob(s)) for n, s in self.generations]
            and found.ids.tolist() == [number for number, _ in self.examples]
            and all(
                (x == example(seed)).all() and y == seed
                for x, y, (_, seed) in zip(found.x, found.y, self.examples, strict=True)
            )
            and [row.live_correct for row in store.outcomes()] == self.outcomes
            and store.unfinished("key") == unfinished
            and list(store.counters()[:4]) == self.counts
            and store.release(lambda memory: (memory, memory)) == self.released
        )


def operate(store: Store, operation: str, number: int) -> None:
    """Does to a state what `Expected.after` expects."""
    if operation == "adding an example":
        store.add_example(example(number), number)
    elif operation == "storing a generation":
        with store.adapting():
            store.commit(blob(number), "keep", str(number), "{}")
    elif operation == "withdrawing":
        store.commit(None, "revert", str(number), "{}", withdrawn=True)
    elif operation == "saving what is unfinished":
        store.save_unfinished(blob(number, 30_000), "key")
    elif operation == "logging an outcome":
        store.log_outcome(number)
    elif operation == "deleting an example":
        ids = store.examples().ids
        if len(ids):
            store.delete_example(int(ids[0]))
    elif operation == "pruning examples":  # One transaction drops, the next says 12.
        store.configure(capacity=CAPACITY // 2)
        store.configure(capacity=CAPACITY)
    elif operation == "releasing":
        store.release(lambda _: (None, str(number)))
    elif operation == "rolling back":
        store.rollback()
    elif operation == "resetting":
        store.reset()
    else:
        store.forget()
