"""kill -9 at random instants of real processes: the last good model is still there."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import numpy as np

from fedp.device_runtime import Budget, Personalizer

from .conftest import make_examples

PHASES = (
    "opening",
    "adapting",
    "storing a generation",
    "rolling back",
    "adding an example",
    "deleting an example",
    "pruning examples",
    "logging an outcome",
    "saving what is unfinished",
    "forgetting",
    "mending a damaged file",
    "what is then forgotten",
)


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_and_read(child: subprocess.Popen[str]) -> list[str]:
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL, "the child ended by itself"
    return rest.split()


ADAPTING = """
    import sys
    from fedp.device_runtime import Budget, Personalizer
    import numpy as np
    artifact, state, data = sys.argv[1:]
    file = np.load(data)
    with Personalizer.open(artifact, state) as device:
        device.personalize(
            file["x"],
            file["y"],
            budget=Budget(epochs=10**6),
            on_progress=lambda done: print(done.steps, flush=True),
        )
"""


def test_killed_while_adapting(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    x, y = make_examples(80)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    with Personalizer.open(mlp_artifact, tmp_path / "state") as device:
        device.personalize(x, y, budget=Budget(epochs=30))
        before, status = device.predict(x), device.status()
        assert status.live == 1
    child = start(ADAPTING, mlp_artifact, tmp_path / "state", tmp_path / "data.npz")
    while int(child.stdout.readline()) < 60:
        pass
    kill_and_read(child)
    with Personalizer.open(mlp_artifact, tmp_path / "state") as device:
        assert (device.predict(x) == before).all() and device.status() == status
        assert device.personalize(x, y, budget=Budget(epochs=30)).generation == 2


def test_killed_500_times(small_export, tmp_path: pathlib.Path) -> None:
    """The benchmark, with fewer kills: every change is hit, and nothing is lost."""
    artifact, counted = tmp_path / "small.tflite", tmp_path / "counted.json"
    artifact.write_bytes(small_export.content)
    root = pathlib.Path(__file__).parents[2]
    kills = int(os.environ.get("FEDP_KILLS", "500"))
    options = ["--kills", kills, "--artifact", artifact, "--json", counted]
    command = [sys.executable, root / "benchmarks" / "crashes.py", *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    phases = json.loads(counted.read_text())
    assert sum(of.get("kills", 0) for of in phases.values()) == kills
    assert sum(of.get("half written", 0) for of in phases.values()) > kills / 50
    assert sum(of.get("came through", 0) for of in phases.values()) > kills / 50
    for phase in PHASES:
        assert phases[phase]["kills"] >= kills / 200, phase
