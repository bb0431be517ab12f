"""What Ray's errors mean to whoever started the work."""

from __future__ import annotations

from ray import exceptions

import fedp
from fedp.device_runtime.errors import FedpError
from fedp.training.engines.reading import in_a_line

# What is left of a task when all its retries are used up.
LOST = (
    exceptions.WorkerCrashedError,
    exceptions.LocalRayletDiedError,
    exceptions.NodeDiedError,
    exceptions.ObjectLostError,
    exceptions.OutOfMemoryError,
)


def mendable(error: exceptions.RayError) -> Exception:
    """What a user can do about an error; a bug in a worker is returned as it is."""
    if not isinstance(error, exceptions.RayTaskError):
        return FedpError(f"the Ray cluster failed: {in_a_line(error)}")
    if isinstance(error.cause, FedpError):
        return error.cause
    if "failed to import" in str(error.cause):
        return FedpError(
            f"a node of the Ray cluster cannot load fedp {fedp.__version__}: install "
            "the same fedp on every node, with its training dependencies"
        )
    return error
