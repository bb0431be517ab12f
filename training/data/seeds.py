"""Random streams that depend on a purpose, a seed and a client, and on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def client_generator(purpose: str, seed: int, client: str) -> np.random.Generator:
    """A generator that is the same in every process and order of reading."""
    digest = hashlib.sha256(f"{purpose}/{seed}/{client}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
