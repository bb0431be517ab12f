"""Builds the wheel and installs it for a device into an empty environment.

Usage: python tests/packaging/device_install.py FOLDER [PYTHON]

FOLDER becomes the environment; `fedp doctor` in it prints how large it is. Packages
come from where pip is set to look.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
from tests.packaging.building import build, copy_sources  # noqa: E402

PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install")


def build_wheel(folder: pathlib.Path) -> pathlib.Path:
    """The wheel, by way of the source distribution."""
    build(copy_sources(folder / "sources"), folder / "dist")
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def install(
    wheel: pathlib.Path, folder: pathlib.Path, python: str, extra: str = ""
) -> pathlib.Path:
    """Makes an environment with the wheel and what it needs; returns its `fedp`."""
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([folder / "bin" / "python", *PIP, f"{wheel}{extra}"], check=True)
    return folder / "bin" / "fedp"


def install_for(
    wheel: pathlib.Path, folder: pathlib.Path, python: str, machine: str
) -> list[str]:
    """Unpacks what another machine with this Python would install; returns the place.

    Nothing of it can be run here.
    """
    tags = ("manylinux2014", *(f"manylinux_2_{glibc}" for glibc in range(17, 36)))
    platforms = [f"--platform={tag}_{machine}" for tag in tags]
    options = ("--only-binary=:all:", "--no-compile", "--target", folder)
    subprocess.run([python, *PIP, *options, *platforms, wheel], check=True)
    return [str(folder)]


def doctor(fedp: pathlib.Path) -> dict:
    """What `fedp doctor` says in an environment, away from the sources."""
    done = subprocess.run(
        [fedp, "doctor", "--json"],
        cwd=fedp.parent,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main(folder: str, python: str = sys.executable) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        fedp = install(build_wheel(pathlib.Path(scratch)), pathlib.Path(folder), python)
    found = doctor(fedp)
    if found["packages"]["tensorflow"] is not None:
        sys.exit("the device install has brought TensorFlow")
    subprocess.run([fedp, "doctor"], check=True)
    lacking = [verb for verb in ("predict", "personalize") if not _ready(found, verb)]
    return len(lacking)


def _ready(found: dict, verb: str) -> bool:
    return bool(found["verbs"][verb]["ready"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
