"""A policy for devices, chosen on validation clients through the real device path."""

from fedp.training.tuning.choice import Choice, Row, choose
from fedp.training.tuning.grid import Grid
from fedp.training.tuning.run import Tuning, tune

__all__ = ["Choice", "Grid", "Row", "Tuning", "choose", "tune"]
