"""How many bytes the device install takes: fedp and all that it needs to adapt."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Sequence
from importlib.metadata import Distribution


def installed_size(folders: Sequence[str] | None = None) -> dict[str, int]:
    """Bytes of fedp and of each package that it depends on, largest first.

    Python itself is not counted, nor are the caches of bytecode that it writes; nor
    what belongs to an extra of fedp, except for a second interpreter.

    Args:
        folders: where packages are installed; `sys.path` unless given.

    Returns:
        Package -> bytes; empty where fedp was not installed by an installer.
    """
    places = {} if folders is None else {"path": list(folders)}
    here: dict[str, Distribution] = {}
    for found in importlib.metadata.distributions(**places):
        # The first one of a name is the one that is imported.
        here.setdefault(_plain(found.metadata["Name"]), found)
    sizes: dict[str, int] = {}
    todo = ["fedp"]
    while todo:
        name = todo.pop()
        if name in here and name not in sizes:
            sizes[name] = _bytes(here[name])
            todo += _needed(here[name])
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _plain(name: str) -> str:
    """A name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(package: Distribution) -> list[str]:
    """Names of what it needs; what is for other Pythons is not installed anyway."""
    names = []
    for line in package.requires or []:
        requirement, _, condition = line.partition(";")
        match = re.match(r"[\w.-]+", requirement)
        if match and "extra" not in condition:
            names.append(_plain(match[0]))
    return names


def _bytes(package: Distribution) -> int:
    total = 0
    for file in package.files or []:
        if file.suffix != ".pyc":
            try:
                total += file.locate().stat().st_size  # type: ignore[attr-defined]
            except OSError:  # uninstalled by hand
                continue
    return total
