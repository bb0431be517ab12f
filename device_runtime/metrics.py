"""What may leave a device: a few rounded numbers, and nothing else.

No example, label, weight, path, time or name of anything has a place in it: every field
is a number of a small set, apart from the artifact's hash, which is the model's and the
same on all its devices. See `local_privacy` for what hides even these numbers.
"""

from __future__ import annotations

import dataclasses
import json
import re

from fedp.device_runtime.errors import FedpError

_HASH = re.compile("[0-9a-f]{64}")
# No count goes beyond: a device that is used more than all others would be known by it.
MOST = 16
MOST_EXAMPLES = 1024


@dataclasses.dataclass(frozen=True)
class Metrics:
    """What a device tells of itself; made by `metrics_of`.

    Attributes:
        artifact: SHA-256 of the artifact, in hex: whose figures are averaged.
        adaptations: how often the guard decided, 0..16; 16 is "16 or more".
        kept: how often it let a personalized model live, likewise.
        withdrawn: how often the watch took one back later, likewise.
        examples: how many the last adaptation had, rounded down to a power of two:
            0, 1, 2, 4, ..., 1024; 1024 is "1024 or more".
        personalized: whether a personalized model is live.
        accuracy_before: of the initial model on the last decision's evidence, 0..1 in
            hundredths; None without evidence, or where labels are not classes.
        accuracy_after: of the model that this decision made live, on the same examples.
    """

    artifact: str
    adaptations: int
    kept: int
    withdrawn: int
    examples: int
    personalized: bool
    accuracy_before: float | None
    accuracy_after: float | None

    def __post_init__(self) -> None:
        """Lets nothing in but what the attributes say.

        Raises:
            FedpError: a value that must not leave the device.
        """
        counts = (self.adaptations, self.kept, self.withdrawn)
        accuracies = (self.accuracy_before, self.accuracy_after)
        allowed = {
            "artifact": type(self.artifact) is str
            and bool(_HASH.fullmatch(self.artifact)),
            "counts": all(type(n) is int and 0 <= n <= MOST for n in counts),
            "examples": type(self.examples) is int
            and self.examples == _power_of_two(self.examples),
            "personalized": type(self.personalized) is bool,
            "accuracies": all(a is None or _is_hundredth(a) for a in accuracies)
            and len({a is None for a in accuracies}) == 1,
        }
        for name, fine in allowed.items():
            if not fine:  # The value stays unsaid: errors leave devices too.
                raise FedpError(f"metrics: {name} not as allowed: use metrics_of")

    def to_json(self) -> str:
        """One JSON object with the attributes as its keys."""
        return json.dumps(dataclasses.asdict(self))


def metrics_of(
    *,
    artifact: str,
    adaptations: int,
    kept: int,
    withdrawn: int,
    examples: int,
    personalized: bool,
    accuracy_before: float | None,
    accuracy_after: float | None,
) -> Metrics:
    """Rounds and limits what a device knows; the arguments are named as in `Metrics`.

    An accuracy without the other is dropped.

    Raises:
        FedpError: a value that is no such thing, as an accuracy above 1.
    """
    before, after = accuracy_before, accuracy_after
    if before is None or after is None:
        before = after = None
    return Metrics(
        artifact=artifact,
        adaptations=min(int(adaptations), MOST),
        kept=min(int(kept), MOST),
        withdrawn=min(int(withdrawn), MOST),
        examples=_power_of_two(int(examples)),
        personalized=bool(personalized),
        accuracy_before=None if before is None else _hundredth(before),
        accuracy_after=None if after is None else _hundredth(after),
    )


def _power_of_two(count: int) -> int:
    """The largest one up to a count, at most `MOST_EXAMPLES`; 0 of 0 or less."""
    return min(1 << (count.bit_length() - 1), MOST_EXAMPLES) if count > 0 else 0


def _hundredth(value: float) -> float:
    return round(float(value), 2) + 0.0  # -0.0 becomes 0.0.


def _is_hundredth(value: object) -> bool:
    return type(value) is float and 0 <= value <= 1 and value == round(value, 2)
