"""The device's tests on every Python 3.10 to 3.13 of this machine, without TensorFlow.

Each Python has an environment of its own, with what the device install has; what it
trains was exported before.

Usage: python tests/targets/pythons.py ARTIFACTS [PYTHON ...]
"""

from __future__ import annotations

import concurrent.futures
import glob
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from linked_package import link_package

ROOT = pathlib.Path(__file__).parents[2]
CACHE = ROOT / "build" / "pythons"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
REQUIREMENTS = ROOT / "requirements" / "device_tests.txt"
# Crashes are tested by killing processes: seconds each, and the same in every Python.
LEFT_OUT = ("test_crashes.py", "test_mutations.py")
FACTS = (
    "import importlib.util as u, sys; from fedp.device_runtime import interpreter as i;"
    "assert u.find_spec('tensorflow') is None, 'TensorFlow is installed';"
    "print(sys.version.split()[0], *(f'{k} {i.installed_version(k)},' "
    "for k in i.available_interpreters()))"
)


def find_pythons() -> dict[str, str]:
    """Path of each Python that starts here, by its version, "3.10" to "3.13"."""
    found = {}
    for version in VERSIONS:
        pattern = f"~/.pyenv/versions/{version}.*/bin/python"
        candidates = [
            shutil.which(f"python{version}"),
            *glob.glob(os.path.expanduser(pattern)),
        ]
        for path in filter(None, candidates):
            # A version manager's shim is there for versions that are not chosen.
            if _version(path) == version:
                found[version] = path
                break
    return found


def _version(python: str) -> str | None:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def environment(version: str, python: str) -> pathlib.Path:
    """Makes the environment, or finds it with the same requirements; its Python."""
    folder = CACHE / version
    inside, made = folder / "bin" / "python", folder / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if not (made.exists() and made.read_text() == wanted):
        uv = shutil.which("uv")
        if uv:
            _quietly([uv, "venv", "-q", "--clear", "--python", python, folder])
            install = [uv, "pip", "install", "-q", "--python", inside]
        else:
            _quietly([python, "-m", "venv", "--clear", folder])
            install = [inside, "-m", "pip", "install", "-q"]
        _quietly([*install, "-r", REQUIREMENTS])
        made.write_text(wanted)
    return inside


def _quietly(command: list[str | pathlib.Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        sys.exit(f"{' '.join(map(str, command[:3]))} failed: {last}")


def run(python: pathlib.Path, package: pathlib.Path, artifacts: str) -> bool:
    """Runs the tests and prints a line of the table; whether all passed."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(package),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FEDP_DEVICE_ARTIFACTS": str(pathlib.Path(artifacts).resolve()),
    }
    started = time.monotonic()
    facts = subprocess.run(
        [python, "-c", FACTS], env=variables, capture_output=True, text=True
    )
    if facts.returncode:
        print(facts.stderr)
        return False
    tests = ROOT / "tests" / "device_runtime"
    ignored = [f"--ignore={tests / name}" for name in LEFT_OUT]
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ignored, tests]
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True
    )
    last = (done.stdout.strip().splitlines() or [done.stderr[-200:]])[-1]
    if done.returncode:
        print(done.stdout[-6000:])
    counts = re.sub(r" in .*", "", last).strip("= ")
    seconds = time.monotonic() - started
    print(f"Python {facts.stdout.strip().rstrip(',')}: {counts} ({seconds:.0f} s)")
    return done.returncode == 0


def main(artifacts: str, *chosen: str) -> int:
    pythons = {_version(p) or p: p for p in chosen} if chosen else find_pythons()
    if not pythons:
        print(f"no Python of {', '.join(VERSIONS)} is here: give PYTHONS=paths")
        return 1
    package = CACHE / "package"
    link_package(package)
    # Two at a time: a run keeps one core busy.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        inside = [environment(*item) for item in pythons.items()]
        passed = list(pool.map(lambda python: run(python, package, artifacts), inside))
    for version in VERSIONS:
        if version not in pythons:
            print(f"Python {version}: not on this machine")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
