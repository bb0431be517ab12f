"""A simulated vibration sensor on a washing machine, a reading every ten minutes.

Its glue has dried out: it feels six tenths of the shaking, so that this machine's spin
looks like another's wash. One day somebody puts it on anew, as the manual says.
Replace `read` by your sensor's driver, and the state by whatever tells what was right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STATES = ("off", "fill", "wash", "spin")
EVERY = 600.0  # seconds from a reading to the next
FEATURES = 12
# How strongly each state shakes, and how that is spread over 3 axes of 4 bands.
_STRENGTH = (0.05, 0.3, 0.7, 1.6)
_BANDS = np.array([0.9, 1.2, 1.0, 0.8, 0.5, 0.7, 0.6, 0.4, 0.7, 1.0, 0.9, 0.6])


class Reading(NamedTuple):
    """What the sensor saw, float32 [12], and what the machine did, 0..3."""

    x: np.ndarray
    state: int


class Sensor:
    """Reading number n is the same each time that it is asked for."""

    def __init__(self, seed: int, gain: float = 0.6, renewed: int | None = None):
        """A sensor that feels `gain` of the shaking; from reading `renewed` on, all."""
        self._seed, self._gain, self._renewed = seed, gain, renewed

    def read(self, number: int) -> Reading:
        """The reading at `number` times EVERY seconds."""
        random = np.random.default_rng([self._seed, number])
        state = int(random.integers(len(STATES)))
        renewed = self._renewed is not None and number >= self._renewed
        strength = _STRENGTH[state] * (1.0 if renewed else self._gain)
        x = strength * _BANDS * random.lognormal(0, 0.2, FEATURES)
        return Reading((x + random.normal(0, 0.03, FEATURES)).astype("f4"), state)
