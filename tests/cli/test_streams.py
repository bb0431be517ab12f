"""Pipes, terminals and signals: what a shell does to a command."""

from __future__ import annotations

import os
import pathlib
import pty
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime import doctor
from fedp.device_runtime.certificate import certificate_path
from tests.cli.calling import FEDP, call, fedp


def instead(body: str) -> list[str]:
    """`fedp doctor` as a process that does something else while it runs."""
    code = (
        "import sys, time; from fedp.device_runtime import doctor\n"
        f"def machine():\n    {body}\n"
        "doctor.machine = machine\n"
        "from fedp.cli import main; main(['doctor', *sys.argv[1:]])"
    )
    return [sys.executable, "-c", code]


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def evaluate(small_export, tmp_path: pathlib.Path) -> list[str]:
    """A command that measures 30 clients."""
    artifact = tmp_path / "small.tflite"
    artifact.write_bytes(small_export.content)
    certificate_path(artifact).write_bytes(small_export.certificate)
    x = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    clients, classes = np.repeat(np.arange(30), 10).astype(str), ["a", "b", "c"]
    y, data = np.arange(300) % 3, tmp_path / "data.npz"
    np.savez(data, x=x, y=y, client=clients, classes=classes)
    command = f"evaluate {artifact} --data {data} --new-clients --clients all"
    return [*command.split(), "--processes", "1", "--report", str(tmp_path / "report")]


def on_terminal(*command: str, **environment: str) -> str:
    """What a command writes to stderr where that is a terminal."""
    ours, theirs = pty.openpty()
    inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**inherited, "TERM": "xterm", **environment},
    ):
        os.close(theirs)
        shown = b""
        with open(ours, "rb", buffering=0) as terminal:
            try:
                while part := terminal.read(1000):
                    shown += part
            except OSError:  # Linux's way of saying that the other end is closed.
                pass
    return shown.decode()


def test_a_reader_that_has_enough():
    endless = shlex.join(instead("while True: print('line')"))
    done = shell(f"set -o pipefail; {endless} | head -1")
    assert (done.returncode, done.stdout) == (128 + signal.SIGPIPE, "line\n")
    assert done.stderr == ""
    done = shell(f"{shlex.join(FEDP)} doctor | head -1")
    assert done.stdout.startswith("fedp ") and done.stderr == ""
    assert shell(f"{shlex.join(FEDP)} doctor 2>&1 >/dev/full | true").stderr == ""


def test_no_stdout_and_a_full_one():
    done = shell(f"{shlex.join(FEDP)} doctor >&-")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell(f"{shlex.join(FEDP)} doctor >/dev/full")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "output cannot be written: No space left" in done.stderr


def test_ctrl_c_is_one_line_that_says_what_to_do():
    command = instead("print('begun', flush=True); time.sleep(60)")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "fedp: error: stopped by Ctrl-C: run the same command again\n"


def test_ctrl_c_while_personalizing_goes_on(evaluate, tmp_path, monkeypatch):
    from fedp.device_runtime import Personalizer

    def stopped(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Personalizer, "personalize", stopped)
    files = ("--data", tmp_path / "data.npz", "--state", tmp_path / "state")
    code, out, err = call("personalize", tmp_path / "small.tflite", *files)
    assert (code, out, err.count("\n")) == (130, "", 1)
    assert "run the same command again, and it goes on from there" in err


def test_a_failure_shows_its_traceback_with_debug_alone(monkeypatch):
    def fails():
        raise EOFError("too short")  # Which click takes for Ctrl-C.

    monkeypatch.setattr(doctor, "machine", fails)
    expected = "fedp: error: unexpected EOFError: too short (--debug shows where)\n"
    assert call("doctor") == (1, "", expected)
    for asked in (("--debug", "doctor"), ("doctor", "--debug"), ("doctor",)):
        code, out, err = call(*asked)
        assert (code, out) == (1, "") and err.endswith(expected)
        assert err.startswith("Traceback") and "in fails" in err
        monkeypatch.setenv("FEDP_DEBUG", "1")
    monkeypatch.undo()
    _, _, err = call("inspect", "nowhere", "--debug")
    assert err.startswith("Traceback") and "FileNotFoundError" in err


def test_colours(monkeypatch):
    red = "\x1b[31m"
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert red not in call("nonsense")[2]
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert red in call("nonsense")[2]
    monkeypatch.setenv("NO_COLOR", "1")
    assert red not in call("nonsense")[2]
    monkeypatch.undo()
    assert red in on_terminal(*FEDP, "nonsense")
    assert "\x1b" not in on_terminal(*FEDP, "nonsense", NO_COLOR="1")
    assert "\x1b" not in on_terminal(*FEDP, "nonsense", TERM="dumb")


def test_a_bar_is_for_terminals(evaluate, tmp_path):
    shown = on_terminal(*FEDP, *evaluate)
    assert "clients" in shown and "100%" in shown
    done = fedp(*evaluate)
    lines = done.stderr.splitlines()
    assert lines[0] == f"log: {tmp_path / 'report' / 'log.txt'}"
    assert len(lines) == 2 and lines[1].startswith("evaluating 30 clients of data.npz")
    log = (tmp_path / "report" / "log.txt").read_text()
    assert log.count("30 of 30 done") == 2 and "%" not in log


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (("status", "--help"), ["status"]),
        (("train", "--nonsense"), ["train"]),
        (("nonsense",), []),
        (("--version",), []),
    ],
)
def test_a_verb_loads_itself_alone(arguments, loaded):
    code = (
        "import sys; from fedp.cli import main\n"
        f"try: main({list(arguments)})\nexcept SystemExit: pass\n"
        "prefix = 'fedp.cli.verbs.'\n"
        "print([m.removeprefix(prefix) for m in sys.modules if m.startswith(prefix)])\n"
        "print({'numpy', 'tensorflow', 'rich', 'importlib.metadata'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == [str(loaded), "set()"]


def completions(words: str, monkeypatch, shell: str = "bash") -> list[str]:
    monkeypatch.setenv("_FEDP_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    *before, last = words.split(" ")
    monkeypatch.setenv("COMP_CWORD", last if shell == "fish" else str(len(before)))
    code, out, err = call()
    assert (code, err) == (0, "")
    return out.split()


def test_completion(monkeypatch):
    assert completions("fedp pre", monkeypatch) == ["plain,predict"]
    assert completions("fedp export --unt", monkeypatch) == ["plain,--untuned"]
    guards = completions("fedp export --initial-weights ", monkeypatch)
    assert guards == ["plain,float32", "plain,float16"]
    assert completions("fedp inspect mod", monkeypatch) == ["file,mod"]
    assert "plain,--help" in completions("fedp nonsense --", monkeypatch)
    for found in ("zsh", "fish"):
        assert "predict" in str(completions("fedp pre", monkeypatch, found))


def test_completion_script_works_in_bash(tmp_path):
    program = tmp_path / "fedp"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(FEDP)} "$@"\n')
    program.chmod(0o755)
    done = shell(
        f"PATH={tmp_path}:$PATH; source <(fedp completion bash)\n"
        "COMP_WORDS=(fedp ver); COMP_CWORD=1; _fedp_completion fedp\n"
        'echo "${COMPREPLY[@]}"'
    )
    assert (done.stdout, done.stderr) == ("verify\n", "")
    for name in ("zsh", "fish"):
        code, out, _ = call("completion", name)
        assert code == 0 and f"_FEDP_COMPLETE={name}_complete" in out
