"""`fedp demo` as a process."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from fedp.device_runtime import Personalizer
from tests.cli.calling import fedp

from .asking import Page, drawings

FEDP = [sys.executable, "-m", "fedp.cli"]


@pytest.mark.parametrize("adapting", [False, True])
def test_ctrl_c_ends_it_and_leaves_only_the_state(mlp_artifact, tmp_path, adapting):
    (tmp_path / "temporary").mkdir()
    command = [*FEDP, "demo", mlp_artifact, "--state", tmp_path / "state", "--json"]
    process = subprocess.Popen(
        [*map(str, command), "--epochs", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )
    with process:
        page = Page(json.loads(process.stdout.readline())["url"])
        page.ask("POST", "examples", drawings(20))
        if adapting:
            page.ask("POST", "adaptation")
            page.until(lambda news: news["points"])
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert list((tmp_path / "temporary").iterdir()) == []
    with Personalizer.open(mlp_artifact, tmp_path / "state") as device:
        assert len(device.examples().ids) == 20
        assert device.status().live == "initial"


def test_mistakes_are_a_line(mlp_artifact, tmp_path):
    done = fedp("demo", tmp_path / "missing.tflite")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = fedp("demo", mlp_artifact, "--port", taken.getsockname()[1])
    assert done.returncode == 1 and "choose another --port" in done.stderr
    assert done.stderr.count("\n") == 1
