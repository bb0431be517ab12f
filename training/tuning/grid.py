"""What `fedp tune` tries: values for every field of a policy.

Fields differ in what another value costs. What trains, its rate and the guard's trials
need an adaptation of every client; an adaptation to the most epochs passes through all
fewer ones; any other field is the guard's, which decides on recorded evidence for free.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import FedpError
from fedp.device_runtime.evidence import Candidate, trials_key
from fedp.device_runtime.guards import candidates_of
from fedp.device_runtime.manifest_check import KINDS

ADAPTED = ("trainable", "learning_rate")
EPOCHS = "epochs"
FIELDS = tuple(field.name for field in dataclasses.fields(Policy))
GUARDED = tuple(name for name in FIELDS if name not in (*ADAPTED, EPOCHS))

# Times the training's learning rate.
RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
DEFAULTS: dict[str, tuple[Any, ...]] = {
    "trainable": ("all", "last:2", "head"),
    "epochs": (1, 2, 5, 10),
    "min_hold_out": (3, 10),
    "margin": (0.0, 0.02),
    "caution": (0.0, 1.25, 2.0),
}
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "learning_rate": ("a finite number above 0", lambda v: 0 < v < math.inf),
    "epochs": ("1 or more", lambda v: v >= 1),
    "hold_out": ("0 up to below 1", lambda v: 0 <= v < 1),
    "min_hold_out": ("1 or more", lambda v: v >= 1),
    "margin": ("0 to 1", lambda v: 0 <= v <= 1),
    "guard": (", ".join(KINDS), lambda v: v in KINDS),
    "folds": ("2 or more", lambda v: v >= 2),
    "blends": ("above 0, at most 1", lambda v: v and all(0 < b <= 1 for b in v)),
    "caution": ("a finite number, 0 or more", lambda v: 0 <= v < math.inf),
}


class GridError(FedpError):
    """A value of the grid is out of its range."""

    exit_code = 2


@dataclasses.dataclass(frozen=True)
class Grid:
    """The policies to compare: every combination of the fields' values.

    Attributes:
        values: of each field of `Policy`, each value once.
    """

    values: Mapping[str, tuple[Any, ...]]

    @classmethod
    def around(cls, base: Policy, **given: Sequence[Any]) -> Grid:
        """A grid of the given values, the defaults, and the base's for other fields.

        Raises:
            GridError: a value out of range.

        Example:
            >>> Grid.around(Policy(learning_rate=0.1), epochs=[1]).values["epochs"]
            (1,)
        """
        rates = tuple(float(f"{base.learning_rate * by:.6g}") for by in RATES)
        values: dict[str, tuple[Any, ...]] = {
            name: (getattr(base, name),) for name in FIELDS
        }
        values |= {**DEFAULTS, "learning_rate": rates}
        values |= {name: tuple(dict.fromkeys(v)) for name, v in given.items() if v}
        for name, (allowed, holds) in _RANGES.items():
            for value in values[name]:
                if not holds(value):
                    raise GridError(
                        f"{name.replace('_', ' ')} {value} is out of range; allowed "
                        f"is {allowed}"
                    )
        return cls({**values, EPOCHS: tuple(sorted(values[EPOCHS]))})

    def adaptations(self) -> list[Policy]:
        """What every client has to go through: one policy each, at the most epochs."""
        found: dict[tuple[Any, ...], Policy] = {}
        most = {
            EPOCHS: max(self.values[EPOCHS]),
            # Of fewer examples nobody asks.
            "min_hold_out": min(self.values["min_hold_out"]),
        }
        for fields in self._combined((*ADAPTED, "guard", "hold_out", "folds")):
            policy = Policy(**fields, **most)
            found.setdefault(adaptation_key(policy), policy)
        return list(found.values())

    def after(self, adaptation: Policy) -> list[Policy]:
        """All policies that the records of one adaptation can judge."""
        fields = {name: getattr(adaptation, name) for name in ADAPTED}
        policies = (
            Policy(**fields, **others) for others in self._combined((EPOCHS, *GUARDED))
        )
        key = adaptation_key(adaptation)
        return [policy for policy in policies if adaptation_key(policy) == key]

    def candidates(self) -> tuple[Candidate, ...]:
        """All that any guard of the grid asks for, and what no guard would look at."""
        plain = {Candidate(epochs, 1.0) for epochs in self.values[EPOCHS]}
        asked = (
            candidates_of(Policy(**fields))
            for fields in self._combined((EPOCHS, "guard", "blends"))
        )
        return tuple(sorted(plain.union(*asked)))

    def __len__(self) -> int:
        """How many policies there are."""
        return math.prod(len(values) for values in self.values.values())

    def _combined(self, names: Sequence[str]) -> list[dict[str, Any]]:
        rows = itertools.product(*(self.values[name] for name in names))
        return [dict(zip(names, row, strict=True)) for row in rows]


def adaptation_key(policy: Policy) -> tuple[Any, ...]:
    """What tells adaptations apart."""
    return (*(getattr(policy, name) for name in ADAPTED), *trials_key(policy))


def shown(value: Any) -> str:
    """A field's value for people."""
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return value if isinstance(value, str) else f"{value:g}"
