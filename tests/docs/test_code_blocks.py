"""Every code block of README.md and docs/ does what it is there for.

A page is run from top to bottom in a fresh folder that holds what pages take as given
(`conftest.py`). Its Python blocks share one namespace, its shell blocks go through
`bash -e`. A `fedp train` that the page leaves at its defaults is shortened
(`shortened.py`).

What cannot run here says so in the page, directly before the block:
`<!-- not run: needs a cluster -->`. Pages that train, tune or export are slow tests.
"""

import ast
import json
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tomllib

from .blocks import PAGES, ROOT, Block, blocks_of
from .conftest import examples

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
# Read, not run: what commands print, and other languages.
READ: dict[str, Callable[[str], Any]] = {
    "": str,
    "text": str,
    "json": json.loads,
    "toml": tomllib.loads,
    "kotlin": str,
    "js": str,
    "html": str,
}
TRAINS = re.compile(r"^fedp (train|tune|export)\b", re.MULTILINE)
MAKES_RUN = re.compile(r"--out run\b(?!-)")


def one() -> dict[str, Any]:
    """A single example, as apps get them."""
    x, y = examples(6)
    return {"x": x[0], "y": y[0], "inputs": x, "correct": True}


def evidence() -> dict[str, Any]:
    from fedp.device_runtime import Candidate, Evidence, Score

    before = Score(np.full(60, 1, np.float32), np.zeros(60, np.float32))
    after = Score(np.full(60, 0.5, np.float32), np.ones(60, np.float32))
    found = Evidence(before, {Candidate(5, 1.0): after}, examples=60, distinct=3)
    return {"evidence": found}


def releases() -> dict[str, Any]:
    from fedp.device_runtime import Personalizer

    with Personalizer.open("model.tflite") as device:
        device.personalize(*examples(40))
        return {"releases": [device.private_metrics(20.0)] * 2}


# What the Python of a page takes as given.
NAMES: dict[str, Callable[[], dict[str, Any]]] = {
    "README.md": lambda: dict(zip("xy", examples(40))),
    "docs/device.md": one,
    "docs/guard.md": evidence,
    "docs/privacy.md": releases,
    "docs/state.md": one,
    "docs/watch.md": one,
}


def is_slow(page: str) -> bool:
    return any(
        block.language == "sh" and block.runs and TRAINS.search(block.code)
        for block in blocks_of(page)
    )


def pages() -> Iterator[Any]:
    """Pages with something to run."""
    for page in PAGES:
        if any(block.runs for block in blocks_of(page)):
            marks = [pytest.mark.slow] if is_slow(page) else []
            yield pytest.param(page, marks=marks, id=page)


def write_configuration(blocks: list[Block]) -> None:
    """A page's TOML as the file that its commands name, with few rounds."""
    for block in blocks:
        if block.language == "toml":
            few = re.sub(r"\brounds = \d+", "rounds = 2", block.code)
            pathlib.Path("experiment.toml").write_text(few)


def run_python(block: Block, names: dict[str, Any]) -> None:
    tree = ast.parse(block.code)
    # So that a failure names the page's own line.
    ast.increment_lineno(tree, block.line - 1)
    exec(compile(tree, ROOT / block.page, "exec"), names)


def run_shell(block: Block, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-e", "-c", block.code],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, (
        f"{block.page}:{block.line}: exit code {done.returncode}\n"
        f"{done.stdout}\n{done.stderr}"
    )


@pytest.mark.parametrize("page", list(pages()))
def test_page(
    page: str,
    environment: dict[str, str],
    tmp_path: pathlib.Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = blocks_of(page)
    files = request.getfixturevalue("trained" if is_slow(page) else "given")
    folder = tmp_path / "reader"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    if any(MAKES_RUN.search(block.code) for block in blocks if block.runs):
        shutil.rmtree("run", ignore_errors=True)
    write_configuration(blocks)
    names: dict[str, Any] = {"__name__": "page", **NAMES.get(page, dict)()}
    try:
        for block in blocks:
            if block.runs and block.language == "python":
                run_python(block, names)
            elif block.runs:
                run_shell(block, environment)
    finally:
        if "device" in names:
            names["device"].close()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.page}:{b.line}")
def test_syntax(block: Block) -> None:
    if block.language == "python":
        compile(block.code, block.page, "exec")
    elif block.language == "sh":
        subprocess.run(["bash", "-n", "-c", block.code], check=True)
    else:
        READ[block.language](block.code)


def test_each_block_is_run_or_says_why(
    record_property: Callable[[str, Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    code = [block for block in BLOCKS if block.language in ("python", "sh")]
    left_out = [block for block in code if not block.runs]
    fences = sum(line.startswith("```") for page in PAGES for line in _lines(page))
    marks = sum("<!-- not run:" in line for page in PAGES for line in _lines(page))
    assert fences == 2 * len(BLOCKS)
    assert marks == len(left_out)
    with capsys.disabled():
        print(f"\n{len(code) - len(left_out)} blocks are run, {len(left_out)} are not:")
        for block in left_out:
            print(f"  {block.page}:{block.line}: {block.why_not}")


def _lines(page: str) -> list[str]:
    return (ROOT / page).read_text().splitlines()
