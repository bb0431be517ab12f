"""What a Python has installed for a peer, found out by that Python itself.

    python -m device.installed UNNEEDED DISTRIBUTION ...

Prints JSON: the first one's version and the bytes of the files of all of them and of
what they require; null if one of them is not installed.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import json
import pathlib
import re
import sys


def main() -> None:
    """Does what the command line says."""
    unneeded, names = json.loads(sys.argv[1]), sys.argv[2:]
    try:
        version = importlib.metadata.version(names[0])
        found = [importlib.metadata.distribution(name) for name in names]
    except importlib.metadata.PackageNotFoundError:
        print("null")
        return
    files = set().union(*map(_files, _with_required(found)))
    needed = (f for f in files if not any(fnmatch.fnmatch(f, u) for u in unneeded))
    size = sum(
        path.stat().st_size for f in needed if (path := pathlib.Path(f)).exists()
    )
    print(json.dumps({"version": version, "bytes": size}))


def _with_required(
    wanted: list[importlib.metadata.Distribution],
) -> list[importlib.metadata.Distribution]:
    """Adds what they require, directly or not, as far as it is installed."""
    found: dict[str, importlib.metadata.Distribution] = {}
    while wanted:
        distribution = wanted.pop()
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name in found:
            continue
        found[name] = distribution
        for requirement in distribution.requires or ():
            required = re.match(r"[\w.-]+", requirement)
            # Markers of other systems speak of what is not installed here.
            if required and "extra ==" not in requirement:
                try:
                    wanted.append(importlib.metadata.distribution(required[0]))
                except importlib.metadata.PackageNotFoundError:
                    continue
    return list(found.values())


def _files(distribution: importlib.metadata.Distribution) -> set[str]:
    """Absolute paths, symbolic links resolved."""
    files = distribution.files or ()
    return {str(pathlib.Path(str(file.locate())).resolve()) for file in files}


if __name__ == "__main__":
    main()
