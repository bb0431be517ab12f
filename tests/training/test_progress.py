import io

import pytest

pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.metrics import (  # noqa: E402
    MetricsWriter,
    RoundLog,
    read_attempts,
    read_participants,
)
from fedp.training.progress import LiveProgress, default_progress  # noqa: E402


class Terminal(io.StringIO):
    def isatty(self):
        return True


def log(number, initial=None):
    personalized = None if initial is None else initial + 0.1
    return RoundLog(
        number, "fedavg", 1.5, 5, 1, 40, 200, 10, 0.5, number % 2, initial, personalized
    )


def test_a_log_file_gets_evaluations_and_the_last_round():
    stream = io.StringIO()
    progress = default_progress(stream)
    progress.start(4, 0)
    for each in (log(1), log(2), log(3, 0.25), log(4)):
        progress.round(each)
    progress.stop()
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["1/4", "3/4", "4/4"]
    assert "0.250 initial, 0.350 personalized" in lines[1]
    assert "400 examples/s" in lines[0] and "1 of 5 clients left out" in lines[0]


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    progress = default_progress(stream)
    assert isinstance(progress, LiveProgress)
    progress.start(4, 1)
    progress.round(log(2, 0.25))
    progress.stop()
    shown = stream.getvalue()
    assert "2/4" in shown and "400 examples/s" in shown
    assert "0.250 initial" in shown and "0.350 personalized" in shown.replace("\n", " ")


def test_resuming_drops_the_lines_after_the_checkpoint(tmp_path):
    with MetricsWriter(tmp_path, after=0) as metrics:
        for number in range(1, 6):
            metrics.write(log(number), [f"writer {number}", "x, y"])
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("6,fed")  # a crash in mid-line
    with MetricsWriter(tmp_path, after=3) as metrics:
        metrics.write(log(4, 0.5), ["ü"])
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0].startswith("round,stage,train_loss")
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4"]
    assert lines[-1].endswith("0.5,0.6")
    assert list((tmp_path / "tensorboard").iterdir())
    names = {f"writer {number}" for number in (1, 2, 3)}
    assert read_participants(tmp_path) == {*names, "x, y", "ü"}
    # Rounds 1 and 3 were repeated once.
    assert read_attempts(tmp_path) == {"fedavg": 6}
