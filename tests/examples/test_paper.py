"""The harness of the paper's tables and figures, whole, at its smallest."""

import csv
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the training install")
pytest.importorskip("tensorflow_federated", reason="needs tensorflow-federated")

from fedp.device_runtime.errors import RunError  # noqa: E402
from fedp.training.configuration import ConfigurationError  # noqa: E402
from fedp.training.run_directory import load_run  # noqa: E402

PAPER = pathlib.Path(__file__).parents[2] / "examples/paper"
BASE, FINE_TUNED = "fedavg_m2_e2", "reptile2_adam_0.001"


@pytest.fixture(scope="module", autouse=True)
def modules():
    """The harness's own modules, as its scripts see them."""
    sys.path.insert(0, str(PAPER))
    yield
    sys.path.remove(str(PAPER))


def run(out, *options):
    """Runs the command as people do; returns it finished."""
    command = [sys.executable, PAPER / "run.py", PAPER / "smoke.toml", "--out", out]
    return subprocess.run(
        [*command, *options],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder with everything in it."""
    out = tmp_path_factory.mktemp("paper") / "results"
    done = run(out, "--processes", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    return out


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def curves(results, cell, replica, look="test_sgd"):
    with np.load(results / "curves" / cell / f"{replica}_{look}.npz") as file:
        return file["accuracies"]


def test_writes_every_table_and_figure(results):
    files = [f"table{n}.{kind}" for n in (1, 2, 3) for kind in ("md", "csv")]
    files += [*(f"figure{n}.png" for n in (1, 2, 3, 4)), "claims.md", "settings.json"]
    assert all((results / name).stat().st_size > 100 for name in files)
    rows = [len(read(results / f"table{n}.csv")) for n in (1, 2, 3)]
    # 2 + 1 FedAvg models; two K on unseen and seen clients; two K with two servers
    # and the model that they start from.
    assert rows == [3, 4, 5]
    assert "paper" not in (results / "table1.csv").read_text()


def test_keeps_every_clients_curve(results):
    # 4 test clients; Figure 2 needs epochs 0 to 3, the tables 0 to 2.
    assert curves(results, BASE, 0).shape == (4, 4)
    assert curves(results, "fedavg_m4_e1", 0).shape == (4, 3)
    assert curves(results, FINE_TUNED, 1, "train_sgd").shape == (4, 3)


def test_tables_are_means_of_the_curves_over_clients_and_replicas(results):
    row = read(results / "table1.csv")[1]
    accuracies = [curves(results, BASE, replica) for replica in (0, 1)]
    for column, epochs in (("initial", 0), ("personalized", 2)):
        each = [curve[:, epochs].mean() for curve in accuracies]
        expected = f"{np.mean(each):.4f} ({np.std(each, ddof=1):.4f})"
        assert row[column] == expected
    assert row["replicas"] == "2"


def test_stage_1_is_trained_once(results):
    """The fine-tuned run begins with the base's lines, their seconds included."""
    for replica in ("0", "1"):
        base, tuned = (results / "runs" / c / replica for c in (BASE, FINE_TUNED))
        lines = [(path / "metrics.csv").read_text() for path in (base, tuned)]
        assert lines[1].startswith(lines[0])
        assert lines[1].count("\n") == 1 + 3 + 2
        pairs = zip(load_run(base).weights(), load_run(tuned).weights("fedavg"))
        assert all((a == b).all() for a, b in pairs)


def test_replicas_differ_and_share_their_clients(results):
    first, second = (load_run(results / "runs" / BASE / r) for r in ("0", "1"))
    assert first.record.client_split == second.record.client_split
    pairs = zip(first.weights(), second.weights())
    assert not any((a == b).all() for a, b in pairs if a.ndim > 1)


def test_goes_on_where_it_was(results, tmp_path):
    out = tmp_path / "results"
    shutil.copytree(results, out)
    shutil.rmtree(out / "runs" / FINE_TUNED / "1")
    (out / "curves" / BASE / "0_test_sgd.npz").unlink()
    (out / "table3.csv").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/run.json")}
    done = run(out)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for name in ("table1.csv", "table3.csv", "claims.md"):
        assert (out / name).read_text() == (results / name).read_text()


def test_draws_what_there_is(tmp_path):
    done = run(tmp_path, "--draw-only")
    assert done.returncode == 0, done.stderr[-2000:]
    assert read(tmp_path / "table1.csv")[0]["initial"] == "-"


def test_plan_counts_images(results):
    done = run(results, "--plan", "--only", "table1")
    line = next(line for line in done.stdout.splitlines() if BASE in line)
    # 3 rounds of 2 clients with 16 images, a quarter of them kept, for 2 epochs; some
    # of the writers have fewer.
    assert 100 < float(line.split()[2].replace(",", "")) <= 3 * 2 * 12 * 2
    assert done.stdout.splitlines()[-1].startswith("5 jobs")


def test_another_configuration_is_refused_beside_the_old(results, tmp_path):
    text = (PAPER / "smoke.toml").read_text().replace("rounds = 3", "rounds = 4")
    changed = tmp_path / "changed.toml"
    changed.write_text(text)
    command = [sys.executable, PAPER / "run.py", changed, "--out", results]
    done = subprocess.run(
        [*command, "--only", "figure1"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "other options" in done.stderr


def test_continuing_needs_the_same_first_rounds(results, tmp_path):
    from cells import all_cells
    from continuing import continue_run
    from settings import read_settings

    cell = all_cells(read_settings(PAPER / "smoke.toml"))[FINE_TUNED]
    with pytest.raises(RunError, match="same first rounds"):
        base = results / "runs/fedavg_m2_e1/0"
        continue_run(base, cell.config_of(0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_verdicts_rest_on_the_interval_over_replicas():
    from claims import HOLDS, NOT, OPEN, paired, verdict

    found = paired({0: 0.6, 1: 0.7, 2: 0.8}, {0: 0.5, 1: 0.61, 2: 0.69, 3: 0.1})
    # Differences 0.10, 0.09, 0.11: mean 0.1, standard deviation 0.01; the t quantile
    # with 2 degrees of freedom is 4.3027, so half = 4.3027 * 0.01 / sqrt(3) = 0.02484.
    assert found.replicas == 3
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.07516, 0.12484), abs=1e-5)
    assert verdict(found, 1) == HOLDS
    assert verdict(found, -1) == NOT
    assert verdict(found, -1, margin=0.2) == HOLDS
    assert verdict(paired({0: 0.6, 1: 0.5}, {0: 0.5, 1: 0.6}), 1) == OPEN
    assert verdict(paired({0: 0.6}, {0: 0.5}), 1) == OPEN


def test_a_centralized_model_of_equal_initial_accuracy_lies_between_snapshots():
    from claims import Matched, between

    points = [Matched(0.5, 0.6), Matched(0.7, 0.7), Matched(0.6, 0.65)]
    # Halfway from the first to the second snapshot.
    assert between(points, 0.6) == pytest.approx((0.6, 0.65))
    assert between(points, 0.4) == points[0]
    assert between([], 0.4) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("replicas = 2", "replika = 2", "unknown replika"),
        ("replicas = 2", 'replicas = "two"', "replicas is 'two'"),
        ("threshold = 0.05", "", "threshold"),
        ('"sgd", "adam"]', '"sgd", "sgdd"]', "adapter 'sgdd'"),
        (
            "clients_per_round = 2\nlocal_epochs = 2",
            "clients_per_round = 7\nlocal_epochs = 2",
            "7 clients and E=2",
        ),
    ],
)
def test_errors_in_the_file_name_the_field(tmp_path, old, new, said):
    from settings import read_settings

    text = (PAPER / "smoke.toml").read_text()
    assert old in text
    path = tmp_path / "broken.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError, match=said):
        read_settings(path)


@pytest.mark.parametrize("name", ["unipen62", "emnist62"])
def test_the_other_files_can_be_read(name):
    from settings import read_settings
    from wanted import jobs

    settings = read_settings(PAPER / f"{name}.toml")
    assert settings.emnist62 == (name == "emnist62")
    trained = [job.name for job in jobs(settings)]
    assert len(trained) == len(set(trained))
    for job in jobs(settings):  # whoever continues a run comes after it
        base = job.cell.base
        assert base is None or trained.index(f"{base.name}/{job.replica}") < (
            trained.index(job.name)
        )
