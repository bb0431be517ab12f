"""Memory of a process and of what it has started."""

from __future__ import annotations

import psutil


def resident(main: psutil.Process) -> tuple[int, int]:
    """Bytes of a process, and of its descendants; zeros if it has ended."""
    try:
        own = main.memory_info().rss
        children = main.children(recursive=True)
    except psutil.Error:
        return 0, 0
    total = 0
    for child in children:
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return own, total
