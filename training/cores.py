"""How many cores there are to work on; in a file of its own, as it needs nothing."""

import os


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
