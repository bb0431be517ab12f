"""kill -9 at random instants of real processes: the last good model is still there."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from fedp.device_runtime import Budget, Personalizer
from fedp.device_runtime.store import Store

from .conftest import make_examples

ARTIFACT = "a" * 64
SIZE = 1_000_000
KILLS = 40


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


def weights(number: int) -> bytes:
    return np.random.default_rng(number).bytes(SIZE)


STORING = """
    import sys
    import numpy as np
    from fedp.device_runtime.store import Store
    directory, number = sys.argv[1], int(sys.argv[2])
    store = Store.open(directory, "a" * 64, 1_000_000)
    print("ready", flush=True)
    while True:
        number += 1
        weights = np.random.default_rng(number).bytes(1_000_000)
        print(number, flush=True)  # About to commit...
        store.commit(weights, "keep", str(number), "{}")
        print(number, flush=True)  # ...and committed.
"""


def test_killed_while_storing(tmp_path: pathlib.Path) -> None:
    chance = random.Random(0)
    committed, halfway = 0, 0
    for _ in range(KILLS):
        child = start(STORING, tmp_path, committed)
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.05))
        said = [int(word) for word in kill_and_read(child)]
        halfway += (tmp_path / "state.sqlite-journal").exists()
        done = max((n for n in said if said.count(n) == 2), default=committed)
        begun = max(said, default=committed)

        store = Store.open(tmp_path, ARTIFACT, SIZE)
        assert store.damage() == ""
        row = store.newest()
        committed = int(row.reason) if row else 0
        assert committed in (done, begun)
        if row:
            assert row.weights == weights(committed)
            assert store.count() == min(committed, 3)
        store.close()
    assert committed > KILLS / 4  # The children did store...
    assert halfway > 0  # ...and some were killed in the middle of it.


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


@pytest.mark.parametrize("steps", [1, 60, 150])
def test_killed_while_adapting(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path, steps: int
) -> None:
    x, y = make_examples(80)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    with Personalizer.open(mlp_artifact, tmp_path / "state") as device:
        device.personalize(x, y, budget=Budget(epochs=30))
        before, status = device.predict(x), device.status()
        assert status.live == 1
    child = start(ADAPTING, mlp_artifact, tmp_path / "state", tmp_path / "data.npz")
    while int(child.stdout.readline()) < steps:
        pass
    kill_and_read(child)
    with Personalizer.open(mlp_artifact, tmp_path / "state") as device:
        assert (device.predict(x) == before).all() and device.status() == status
        assert device.personalize(x, y, budget=Budget(epochs=30)).generation == 2


def test_killed_500_times(small_export, tmp_path: pathlib.Path) -> None:
    """In a light process of its own: forking this one would copy all of TensorFlow."""
    artifact = tmp_path / "small.tflite"
    artifact.write_bytes(small_export.content)
    root = pathlib.Path(__file__).parents[2]
    kills = int(os.environ.get("FEDP_KILLS", "500"))
    command = [
        sys.executable,
        "-m",
        "tests.device_runtime.kills",
        "--kills",
        str(kills),
    ]
    done = subprocess.run(
        [*command, "--artifact", artifact], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(done.stdout).values()
    assert sum(row["kills"] for row in rows) == kills
    assert sum(row.get("operations", 0) for row in rows) > kills / 4
    assert sum(row.get("half written", 0) for row in rows) > kills / 50
