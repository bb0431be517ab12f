"""SGD, momentum and Adam inside `train`, as arithmetic over values and slots.

The same formulas as `fedp.training.client_optimizers`, where they are fused operators
that TFLite does not have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from fedp.device_runtime.contract import WeightSpec
from fedp.device_runtime.errors import ExportError

Values = Sequence[tf.Tensor]
Settings = dict[str, float]

DEFAULTS: dict[str, Settings] = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7},
}


@dataclasses.dataclass(frozen=True)
class DeviceOptimizer:
    """A rule from weights, gradients and slots to new weights and slots.

    Attributes:
        name: "sgd", "momentum" or "adam".
        settings: its constants; the learning rate is an input of `train`.
        takes_scaled: it wants gradients times the learning rate, which costs a product
            with the loss' gradient in place of one with every weight.
        slots: specs of the weights -> specs of the slots, zero at the start.
        step: (weights, gradients, slots, learning rate [1]) -> weights, slots.
    """

    name: str
    settings: Settings
    takes_scaled: bool
    slots: Callable[[Sequence[WeightSpec]], tuple[WeightSpec, ...]]
    step: Callable[
        [Values, Values, Values, tf.Tensor], tuple[list[tf.Tensor], list[tf.Tensor]]
    ]


def device_optimizer(name: str, settings: Settings | None = None) -> DeviceOptimizer:
    """The client optimizer by its name, with other constants where given.

    Raises:
        ExportError: no such optimizer or constant.
    """
    makers = {"sgd": _sgd, "momentum": _momentum, "adam": _adam}
    if name not in makers:
        raise ExportError(
            f"client optimizer {name!r} is unknown; allowed are {', '.join(makers)}"
        )
    settings = settings or {}
    unknown = sorted(settings.keys() - DEFAULTS[name].keys())
    if unknown:
        raise ExportError(
            f"client optimizer {name} has no setting {unknown[0]!r}; allowed are "
            f"{', '.join(DEFAULTS[name]) or 'none'}"
        )
    return makers[name]({**DEFAULTS[name], **settings})


def _sgd(settings: Settings) -> DeviceOptimizer:
    def step(
        weights: Values, gradients: Values, slots: Values, rate: tf.Tensor
    ) -> tuple:
        return [w - g for w, g in zip(weights, gradients, strict=True)], []

    return DeviceOptimizer("sgd", settings, True, lambda weights: (), step)


def _momentum(settings: Settings) -> DeviceOptimizer:
    factor = settings["momentum"]

    def slots(weights: Sequence[WeightSpec]) -> tuple[WeightSpec, ...]:
        return _numbered([(f"momentum of {w.layer}", w.shape) for w in weights])

    def step(
        weights: Values, gradients: Values, slots: Values, rate: tf.Tensor
    ) -> tuple:
        moved = [factor * m + g for m, g in zip(slots, gradients, strict=True)]
        return [w - rate * m for w, m in zip(weights, moved, strict=True)], moved

    return DeviceOptimizer("momentum", settings, False, slots, step)


def _adam(settings: Settings) -> DeviceOptimizer:
    beta1, beta2 = settings["beta1"], settings["beta2"]

    def slots(weights: Sequence[WeightSpec]) -> tuple[WeightSpec, ...]:
        rows = [(f"{what} of {w.layer}", w.shape) for what in "mv" for w in weights]
        return _numbered([("steps taken", (1,)), *rows])

    def step(
        weights: Values, gradients: Values, slots: Values, rate: tf.Tensor
    ) -> tuple:
        taken, moments = slots[0] + 1.0, slots[1:]
        firsts, seconds = moments[: len(weights)], moments[len(weights) :]
        corrected = tf.sqrt(1.0 - tf.pow(beta2, taken)) / (1.0 - tf.pow(beta1, taken))
        size = rate * corrected
        m = [a + (1 - beta1) * (g - a) for a, g in zip(firsts, gradients, strict=True)]
        v = [
            a + (1 - beta2) * (g * g - a)
            for a, g in zip(seconds, gradients, strict=True)
        ]
        new = [
            w - size * a / (tf.sqrt(b) + settings["epsilon"])
            for w, a, b in zip(weights, m, v, strict=True)
        ]
        return new, [taken, *m, *v]

    return DeviceOptimizer("adam", settings, False, slots, step)


def _numbered(rows: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[WeightSpec, ...]:
    return tuple(
        WeightSpec(f"s{i}", layer, shape) for i, (layer, shape) in enumerate(rows)
    )
