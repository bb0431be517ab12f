"""Federated data sets: readers, the embedded one, and client splits."""

from fedp.training.data.choosing import choose_clients
from fedp.training.data.federated import Examples, FederatedData
from fedp.training.data.npz import NpzData
from fedp.training.data.opening import open_data
from fedp.training.data.splits import (
    ROLES,
    ClientSplit,
    Role,
    split_examples,
)
from fedp.training.data.synthetic import SyntheticData

__all__ = [
    "ROLES",
    "ClientSplit",
    "Examples",
    "FederatedData",
    "NpzData",
    "Role",
    "SyntheticData",
    "choose_clients",
    "open_data",
    "split_examples",
]
