"""How much memory this process has taken."""

from __future__ import annotations

import resource


def peak_memory_mb() -> float:
    """Largest resident size so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
