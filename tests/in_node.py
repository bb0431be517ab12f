"""Runs JavaScript in Node.js, with the packages of examples/web."""

import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import pytest

WEB = pathlib.Path(__file__).parents[1] / "examples/web"


def node(
    *arguments: str, given: Any = None, temporary: pathlib.Path | None = None
) -> str:
    """Runs Node.js in the folder of examples/web; what it prints.

    Args:
        arguments: of the command line.
        given: for its stdin, as JSON.
        temporary: folder for its temporary files.
    """
    where = {"TMPDIR": str(temporary)} if temporary else {}
    process = subprocess.Popen(
        ["node", *arguments],
        cwd=WEB,
        env={**os.environ, **where},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, errors = process.communicate(json.dumps(given), timeout=200)
    finally:
        process.terminate()  # Puppeteer then ends its browser.
        process.wait()
    assert process.returncode == 0, errors[-3000:] + out[-3000:]
    return out


def install_packages(folder: pathlib.Path = WEB) -> None:
    """What a folder's package-lock.json pins, from npm or its cache; else a skip."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: a browser needs Node.js 20 and npm")
    lock = json.loads((folder / "package-lock.json").read_text())["packages"]
    installed = folder / "node_modules/.package-lock.json"
    if installed.exists():
        found = json.loads(installed.read_text())["packages"]
        if all(found[name]["version"] == lock[name]["version"] for name in found):
            return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm ci cannot get what {folder.name} needs: {done.stderr[-300:]}")
