"""Memory of `fedp evaluate` over ever more synthetic clients, and whether it is flat.

    python benchmarks/evaluation_memory.py model.tflite [--clients 1000 10000]

The artifact has to take 28x28 images of 62 classes, as a model trained on the synthetic
data does. Exits with 1 if an evaluation fails or memory grows with the clients.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import psutil
from resident import resident
from row import kill_session

# Bytes a client that the driver may take more. Examples alone would be 16,000, and what
# clients.csv says of a client is some 400.
_FLAT = 1500


class Course(NamedTuple):
    """An evaluation from its start to its end.

    Attributes:
        clients: how many.
        seconds: wall time.
        driver: most resident bytes of `fedp evaluate` itself, the reports included.
        workers: most resident bytes of its worker processes together.
        early: median of the workers' while the second tenth was evaluated.
        late: likewise of the last tenth.
    """

    clients: int
    seconds: float
    driver: int
    workers: int
    early: int
    late: int


def main() -> int:
    """Runs, prints a row an evaluation, and returns the exit code."""
    given = _options()
    courses = []
    print("clients  seconds  driver MB  workers MB  in the 2nd and last tenth")
    for clients in given.clients:
        with tempfile.TemporaryDirectory() as folder:
            course = watch(given, clients, pathlib.Path(folder))
        if course is None:
            return 1
        courses.append(course)
        print(
            f"{clients:7,}  {course.seconds:7.0f}  {course.driver / 1e6:9.1f}  "
            f"{course.workers / 1e6:10.1f}  {course.early / 1e6:.1f} and "
            f"{course.late / 1e6:.1f}",
            flush=True,
        )
    first, last = courses[0], courses[-1]
    more = max(last.clients - first.clients, 1)
    slope = (last.driver - first.driver) / more
    flat = slope <= _FLAT and last.late <= 1.05 * last.early
    print(f"{slope:+,.0f} bytes a client: {'flat' if flat else 'it GROWS'}")
    if given.json is not None:
        found = {
            "benchmark": "evaluation_memory",
            "driver_bytes_per_client": slope,
            "flat": flat,
            "evaluations": [course._asdict() for course in courses],
        }
        given.json.write_text(json.dumps(found) + "\n")
    return 0 if flat else 1


def watch(
    given: argparse.Namespace, clients: int, folder: pathlib.Path
) -> Course | None:
    """Evaluates, and looks at the memory all the while; None if it fails."""
    started = time.monotonic()
    samples: list[tuple[int, int, int]] = []
    report, log = folder / "report", folder / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            _command(given, clients, report),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            tree = psutil.Process(process.pid)
            while process.poll() is None:
                samples.append((_done(report, clients), *resident(tree)))
                time.sleep(given.interval)
        finally:
            kill_session(process.pid)
            process.wait()
    if process.returncode:
        print(f"fedp evaluate failed:\n{log.read_text(errors='replace')[-2000:]}")
        return None
    return Course(
        clients,
        time.monotonic() - started,
        max(driver for _, driver, _ in samples),
        max(workers for *_, workers in samples),
        *(
            _median([w for done, _, w in samples if a <= 10 * done / clients < a + 1])
            for a in (1, 9)
        ),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("artifact", type=pathlib.Path)
    add("--clients", type=int, nargs="+", default=[1000, 10_000])
    add("--most", type=int, default=20, help="images taken of one client at most")
    add("--interval", type=float, default=0.5, help="seconds between two samples")
    add("--json", type=pathlib.Path, help="file to write everything to")
    return parser.parse_args()


def _command(
    given: argparse.Namespace, clients: int, report: pathlib.Path
) -> list[str]:
    return [
        *(sys.executable, "-m", "fedp.cli", "evaluate", str(given.artifact)),
        *("--data", f"synthetic:{clients}", "--clients", "all", "--new-clients"),
        *("--max-examples", str(given.most), "--report", str(report)),
    ]


def _done(report: pathlib.Path, clients: int) -> int:
    """A client is a line; the first line is the settings. Without a file all are."""
    try:
        lines = (report / ".unfinished.jsonl").read_bytes().count(b"\n")
    except OSError:
        return clients if (report / "report.html").exists() else 0
    return max(lines - 1, 0)


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2] if values else 0


if __name__ == "__main__":
    sys.exit(main())
