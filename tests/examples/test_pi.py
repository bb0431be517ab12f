"""The loop of the Raspberry Pi: ten days, killed on the way, and asked meanwhile."""

import json
import re
import subprocess
import sys
import urllib.request

import pytest

from tests.examples.commands import commands, copied, run, start

pytest.importorskip("tensorflow", reason="exporting needs the training install")

LOOP = [sys.executable, "pi.py", "--state"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The example, with the model that its README makes."""
    folder = copied("pi", tmp_path_factory.mktemp("pi"))
    for command in commands("pi")[:2]:
        run(command, folder)
    return folder


@pytest.fixture(scope="module")
def log(folder):
    """An undisturbed run's lines."""
    return run(commands("pi")[2], folder).splitlines()


def accuracies(log):
    """Of each whole day, by its number."""
    found = re.findall(r"day (\d+), 23:50: (\d+) of (\d+) right", "\n".join(log))
    return {int(day): int(right) / int(seen) for day, right, seen in found}


def begin(folder, state, *options):
    return subprocess.Popen(
        [*LOOP, state, *options], cwd=folder, stdout=subprocess.PIPE, text=True
    )


def test_adapts_at_night_and_goes_on_with_what_morning_stopped(log):
    nights = [line for line in log if ": keep: " in line or ": unfinished: " in line]
    assert all(line[len("day 0, ") :] < "04:01" for line in nights)
    assert ": keep: " in nights[1] and "on 53 examples" in nights[1]
    stopped = next(i for i, line in enumerate(nights) if "unfinished" in line)
    assert "after 239 of at most 320 steps" in nights[stopped]
    # 81 steps are left; a step takes 30 s of a night that begins at 02:00.
    assert nights[stopped + 1].startswith("day 4, 02:40: keep")


def test_drift_takes_the_model_back_and_the_device_recovers(log):
    taken = [line for line in log if "taken back" in line]
    assert len(taken) == 1 and taken[0].startswith("day 6")
    found = accuracies(log)
    assert sorted(found) == list(range(10))
    assert min(found[day] for day in (1, 2, 3, 4)) > 0.97
    assert max(found[5], found[6]) < 0.9
    assert min(found[day] for day in (7, 8, 9)) > 0.97


def test_kill_loses_nothing_and_everyone_is_answered(folder, log):
    lines = []
    for day in (1, 3, 6):
        with begin(folder, "killed", "--pace", "0.001") as process:
            port = int(re.search(r":(\d+), live", process.stdout.readline())[1])
            answer = None
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.startswith(f"day {day}, 23:50"):
                    address = f"http://127.0.0.1:{port}"
                    with urllib.request.urlopen(address, timeout=10) as reply:
                        answer = json.load(reply)
                    process.kill()
                    break
        assert process.wait() == -9
        assert answer["state"] in ("off", "fill", "wash", "spin")
        if day < 6:
            assert answer["live"] == int(lines[-1].split()[-1])
    rest = run(["python", "pi.py", "--state", "killed"], folder).splitlines()
    first = re.search(r"^day (\d+), .* live: (.*), (\d+) examples stored", rest[0])
    assert int(first[1]) >= 6 and int(first[3]) >= 24
    assert any("taken back" in line for line in lines)
    # A day in which it was killed has fewer readings, and no day is missing.
    found = accuracies(lines + rest)
    assert sorted(found) == list(range(10))
    assert min(found[day] for day in (1, 2, 3, 4, 8, 9)) > 0.95


def test_terminates_when_asked(folder):
    with begin(folder, "asked", "--pace", "0.01") as process:
        process.stdout.readline()
        process.terminate()
        last = process.stdout.read().splitlines()[-1]
    assert process.wait() == 0
    assert "ends; live: " in last


def test_the_wall_clock_reads_at_once_and_ends_within_a_wait(folder):
    with begin(folder, "wall", "--clock", "wall") as process:
        process.stdout.readline()
        process.terminate()
        assert "ends; live: " in process.stdout.read()
    assert process.wait() == 0


def test_no_artifact_is_one_line(folder):
    done = start(["python", "pi.py", "--artifact", "no.tflite"], folder)
    assert done.returncode == 1
    assert done.stderr.startswith("error: artifact no.tflite")
    assert done.stderr.count("\n") == 1
