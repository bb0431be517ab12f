"""Tables 1 to 3 and Figures 1 to 4 of Jiang et al. 2019, from one configuration.

python examples/paper/run.py examples/paper/unipen62.toml --plan
python examples/paper/run.py examples/paper/unipen62.toml --out results
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import shlex
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sessions  # noqa: E402
from drawing import draw  # noqa: E402
from helpers import helped  # noqa: E402
from planning import RATE, plan_table  # noqa: E402
from settings import Settings, read_settings  # noqa: E402
from signals import end_on_sigterm  # noqa: E402
from wanted import OUTPUTS, Job, jobs  # noqa: E402

from fedp.device_runtime.errors import FedpError  # noqa: E402
from fedp.training.evaluation.lifeline import die_with  # noqa: E402
from fedp.training.stopping import Interrupted  # noqa: E402


def main() -> int:
    """Parses, works, draws; returns the exit code."""
    args = _arguments()
    end_on_sigterm()
    try:
        settings = read_settings(args.config)
        todo = jobs(settings, args.only)
        if args.helper is not None:
            die_with(args.helper)
            return len(_work(settings, todo, args))
        if args.plan:
            print(plan_table(settings, todo, args.rate, args.processes))
            return 0
        failed = [] if args.draw_only else _work_and_note(settings, todo, args)
        for path in draw(settings, args.out, args.only):
            print(path)
    except (Interrupted, KeyboardInterrupt) as stop:
        print(
            "stopped: the same command goes on where it was; --draw-only draws what "
            "there is",
            file=sys.stderr,
        )
        return int(getattr(stop, "exit_code", 130))
    except FedpError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", type=pathlib.Path, help="a TOML file, such as unipen62.toml")
    add("--out", type=pathlib.Path, default=pathlib.Path("results"), help="a folder")
    add("--only", nargs="+", default=list(OUTPUTS), choices=OUTPUTS, help="of these")
    add("--processes", type=int, default=1, help="models that train at a time")
    add("--plan", action="store_true", help="say what it would cost, and end")
    add("--rate", type=float, default=RATE, help="of the plan: images a second")
    add("--draw-only", action="store_true", help="from what has been computed so far")
    add("--helper", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _work_and_note(
    settings: Settings, todo: list[Job], args: argparse.Namespace
) -> list[str]:
    """Does the work, and notes command and time, also when interrupted."""
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        with helped(args.processes - 1):
            return _work(settings, todo, args)
    finally:
        command = shlex.join(["python", *sys.argv])
        sessions.note(settings, args.out, command, time.monotonic() - start)


def _work(settings: Settings, todo: list[Job], args: argparse.Namespace) -> list[str]:
    from telling import Teller  # these start TensorFlow
    from working import Worker

    with contextlib.closing(Worker(settings, args.out)) as worker:
        teller = Teller(settings, todo, worker.is_done, args.processes, args.rate)
        worker.work_through(todo, teller)
        return list(worker.failed.values())


if __name__ == "__main__":
    sys.exit(main())
