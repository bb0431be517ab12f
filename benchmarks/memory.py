"""Memory of a long training run: 1,000 rounds of small clients by `fedp train`.

    python benchmarks/memory.py [--rounds 1000] [-- --engine tff ...]

What follows `--` goes to `fedp train`. Exits with 1 if the run fails or memory grows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import job
import psutil
from resident import resident
from row import kill_session

# Until then TensorFlow's and the allocator's pools fill up.
_WARM_ROUNDS = 200
# Growth per 1,000 rounds that still counts as flat, as a share of the peak. One server
# state kept per round would be 5,000 MB, one client's 40 images 30 MB.
_FLAT = 0.03


class Sample(NamedTuple):
    """The run at one moment.

    Attributes:
        round: the last one done.
        main: resident bytes of `fedp train` itself.
        all: with its child processes; what they share is counted in each.
    """

    round: int
    main: int
    all: int


def main() -> int:
    """Runs, prints memory over rounds, and returns the exit code."""
    given = _options()
    with tempfile.TemporaryDirectory() as folder:
        run, log = pathlib.Path(folder, "run"), pathlib.Path(folder, "log")
        command = _command(given, run)
        print(" ".join(command), file=sys.stderr)
        samples, code = sample(command, run / "metrics.csv", log, given.interval)
        said = log.read_text(errors="replace")[-2000:]
    if code or not samples or samples[-1].round < given.rounds:
        print(f"fedp train ended with exit code {code}:\n{said}")
        return 1
    return report(samples, given.rounds, given.json)


def sample(
    command: list[str], metrics: pathlib.Path, log: pathlib.Path, interval: float
) -> tuple[list[Sample], int]:
    """Runs a training and looks at its memory every `interval` seconds."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        samples = []
        try:
            tree = psutil.Process(process.pid)
            while process.poll() is None:
                main, others = resident(tree)
                if main:
                    done = _rounds_done(metrics)
                    samples.append(Sample(done, main, main + others))
                time.sleep(interval)
        finally:
            kill_session(process.pid)
            process.wait()
    samples.append(
        Sample(_rounds_done(metrics), *(samples or [Sample(0, 0, 0)])[-1][1:])
    )
    return samples, process.returncode


def report(samples: list[Sample], rounds: int, path: pathlib.Path | None) -> int:
    """Prints the course, the peak and the growth; 1 if memory grows."""
    print("rounds up to  median MB  peak MB  median MB of the main process")
    width = max(rounds // 10, 1)
    medians = []
    for end in range(width, rounds + 1, width):
        here = [s for s in samples if end - width <= s.round < end]
        if not here:
            continue
        medians.append(Sample(end, *(_median(here, at) for at in (1, 2))))
        peak = max(s.all for s in here)
        print(
            f"{end:12,}  {medians[-1].all / 1e6:9.1f}  {peak / 1e6:7.1f}  "
            f"{medians[-1].main / 1e6:9.1f}"
        )
    peak = max(s.all for s in samples)
    warm = [m for m in medians if m.round > min(_WARM_ROUNDS, rounds // 2)]
    slope = _slope(warm)
    flat = slope * 1000 <= _FLAT * peak
    print(
        f"peak {peak / 1e6:,.0f} MB; after round {warm[0].round - width:,} "
        f"{slope / 1e3:+.1f} MB per 1,000 rounds: {'flat' if flat else 'it GROWS'}"
    )
    if path is not None:
        found = {
            "benchmark": "memory",
            "peak_bytes": peak,
            "bytes_per_round": slope,
            "flat": flat,
            "samples": samples,
        }
        path.write_text(json.dumps(found) + "\n")
    return 0 if flat else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", default=str(job.DATA), help="an .npz, or synthetic:CLIENTS")
    add("--rounds", type=int, default=1000)
    add("--clients", type=int, default=5, help="in a round")
    add("--most", type=int, default=40, help="images taken of one client at most")
    add("--interval", type=float, default=0.2, help="seconds between two samples")
    add("--json", type=pathlib.Path, help="file to write everything to")
    add("train", nargs="*", metavar="-- OPTION", help="more options of `fedp train`")
    return parser.parse_args()


def _command(given: argparse.Namespace, run: pathlib.Path) -> list[str]:
    return [
        *(sys.executable, "-m", "fedp.cli", "train"),
        *("--data", given.data, "--out", str(run)),
        *("--rounds", str(given.rounds), "--reptile-rounds", "0"),
        *("--local-epochs", "1", "--clients-per-round", str(given.clients)),
        *("--max-examples", str(given.most), "--eval-every", "100"),
        *given.train,
    ]


def _rounds_done(metrics: pathlib.Path) -> int:
    """A round is a line; the first line is the header."""
    if not metrics.exists():
        return 0
    return max(metrics.read_bytes().count(b"\n") - 1, 0)


def _median(samples: list[Sample], at: int) -> int:
    return int(statistics.median(sample[at] for sample in samples))


def _slope(samples: list[Sample]) -> float:
    """Bytes a round: the median slope over all pairs (Theil and Sen)."""
    pairs = itertools.combinations(samples, 2)
    return statistics.median((b.all - a.all) / (b.round - a.round) for a, b in pairs)


if __name__ == "__main__":
    sys.exit(main())
