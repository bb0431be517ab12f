"""A stopped personalization as bytes, for the process that goes on with it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile

import numpy as np

from fedp.device_runtime.adaptation import Position
from fedp.device_runtime.contract import Policy


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What a personalization holds between two steps.

    Attributes:
        job: number of the adaptation that runs: trials first, then the final one.
        position: where in it.
        steps: optimizer steps since the very beginning.
        lasted: local epochs for which no trial's loss exploded.
        scores: losses and hits by candidate, float32 [candidates, 2, judged].
        weights: the session's, raw float32.
        slots: what its optimizer remembers, raw float32.
        digest: `digest_of` the examples.
        ids: of the examples, where they are stored ones.
    """

    job: int
    position: Position
    steps: int
    lasted: int
    scores: np.ndarray
    weights: bytes
    slots: bytes
    digest: str = ""
    ids: list[int] = dataclasses.field(default_factory=list)

    def to_bytes(self) -> bytes:
        """A zip of arrays (npz)."""
        fields = {
            "job": self.job,
            "position": list(self.position),
            "steps": self.steps,
            "lasted": self.lasted,
            "digest": self.digest,
            "ids": self.ids,
        }
        file = io.BytesIO()
        np.savez(
            file,
            fields=np.frombuffer(json.dumps(fields).encode(), np.uint8),
            scores=self.scores,
            weights=np.frombuffer(self.weights, np.uint8),
            slots=np.frombuffer(self.slots, np.uint8),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Snapshot | None:
        """Reads what `to_bytes` gave; None of anything else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                fields = json.loads(file["fields"].tobytes())
                return cls(
                    job=int(fields["job"]),
                    position=Position(*fields["position"]),
                    steps=int(fields["steps"]),
                    lasted=int(fields["lasted"]),
                    scores=file["scores"].astype(np.float32),
                    weights=file["weights"].tobytes(),
                    slots=file["slots"].tobytes(),
                    digest=str(fields["digest"]),
                    ids=[int(number) for number in fields["ids"]],
                )
        except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def key_of(policy: Policy, seed: int) -> str:
    """Of all that a personalization depends on beside artifact and examples."""
    text = json.dumps([dataclasses.asdict(policy), seed])
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(x: np.ndarray, y: np.ndarray) -> str:
    """SHA-256 of examples, in hex."""
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
