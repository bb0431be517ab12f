"""The log of long work."""

from __future__ import annotations

import pathlib

import click
import pytest

from fedp.cli.call import Call
from fedp.cli.work_log import work_log
from fedp.device_runtime.errors import DataError


@pytest.fixture(autouse=True)
def call():
    """A call under way."""
    with click.Context(click.Command("verb"), obj=Call(["verb", "my file"])) as context:
        yield context.obj


def lines(path):
    return [line.split(" ", 2)[2] for line in path.read_text().splitlines()]


def test_work_that_never_began_leaves_no_log(tmp_path, capsys):
    with pytest.raises(DataError), work_log(tmp_path / "log.txt"):
        raise DataError("refused")
    assert not list(tmp_path.iterdir()) and capsys.readouterr().err == ""


def test_a_log_says_how_the_work_ended(tmp_path, capsys, call):
    path = tmp_path / "log.txt"
    with work_log(path) as log:
        log.say("begun")
        log.count(1, 2)  # Within ten seconds.
        log.count(2, 2)
    with pytest.raises(DataError), work_log(path) as log:
        log.write("two\nlines\n")
        raise DataError("refused")
    with pytest.raises(ZeroDivisionError), work_log(path) as log:
        log.say("crashing")
        print(1 / 0)
    with pytest.raises(KeyboardInterrupt), work_log(path) as log:
        log.say("stopping")
        raise KeyboardInterrupt
    found = lines(path)
    assert found[0].endswith(": fedp verb 'my file'")
    assert found[1:3] == ["begun", "2 of 2 done"] and found[3].startswith("done in ")
    assert found[5:8] == ["two", "lines", "ended: refused"]
    assert found[10].startswith("Traceback") and "print(1 / 0)" in "".join(found)
    assert found[-1] == "ended: stopped by Ctrl-C"
    assert call.log == str(path)
    assert capsys.readouterr().err.splitlines()[:2] == [f"log: {path}", "begun"]


def test_a_log_that_cannot_be_written_ends_no_work(tmp_path, capsys):
    for place in (tmp_path, tmp_path / "none" / "log.txt", "/dev/full"):
        with work_log(pathlib.Path(place)) as log:
            log.say("begun")
    assert capsys.readouterr().err.count("begun\n") == 3
