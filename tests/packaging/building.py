"""Builds the source distribution, and from that the wheel, of what git knows."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).parents[2]


def tracked(suffix: str = "") -> list[str]:
    """Paths of the repository's files, those not yet committed too."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(
        path
        for path in done.stdout.splitlines()
        if path.endswith(suffix) and (ROOT / path).is_file()
    )


def copy_sources(folder: pathlib.Path) -> pathlib.Path:
    """A copy without what earlier builds have left, which would be built in."""
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    return folder


def build(sources: pathlib.Path, out: pathlib.Path, *options: str) -> None:
    """Builds with the packages that are installed here; needs no network.

    Raises:
        RuntimeError: it failed; the message holds what was said.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out]
    done = subprocess.run(
        [*map(str, command), *options, str(sources)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"the build failed:\n{done.stdout[-3000:]}{done.stderr}")


def wheel_contents(wheel: pathlib.Path) -> dict[str, str]:
    """Path -> hash, of all but RECORD, which follows from them."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith((".dist-info/RECORD", "/"))
        }


def sdist_contents(sdist: pathlib.Path) -> set[str]:
    """Paths, below the folder that all are in."""
    with tarfile.open(sdist) as archive:
        names = [member.name for member in archive if member.isfile()]
    return {name.partition("/")[2] for name in names}
