"""How much memory this process holds."""

from __future__ import annotations

import sys

_MB = 1e6


def resident_mb() -> float:
    """Resident megabytes (10^6 bytes): now on Linux and Android, else at their peak.

    0 where the system does not tell.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
        import resource

        return pages * resource.getpagesize() / _MB
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows.
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MB if sys.platform == "darwin" else peak * 1024 / _MB
