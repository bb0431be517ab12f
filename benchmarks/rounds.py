"""Training examples a second over whole rounds: fedp, stock TFF, and the bound.

    python benchmarks/rounds.py [--rounds 5] [--clients 6] [--epochs 2 10] [--repeats 3]

Exits with 1 if the rows do not train to about the same loss.
"""

from __future__ import annotations

import statistics
import sys

import table
from bound import PROCESSES
from job import Job
from options import parser, rows
from shares import busy_share
from writers import rounds_of

# Shares of the loss. In the first round only the shuffling differs between rows; later
# ones go on from weights that have drifted apart: at E=10 two engines that differ in
# the order of additions alone were 8 % apart in the third round.
_FIRST, _LATER = 0.03, 0.3


def main() -> int:
    """Measures, prints one table for each E, and returns the exit code."""
    options = parser(__doc__, clients=6, least=150)
    options.add_argument("--rounds", type=int, default=5, help="timed ones")
    options.add_argument("--epochs", type=int, nargs="+", default=[2, 10], help="E")
    given = options.parse_args()
    faults, tables = [], []
    for epochs in given.epochs:
        job = Job(
            given.data,
            given.clients,
            given.rounds,
            epochs,
            given.least,
            given.most,
            seed=given.seed,
        )
        sizes = [[len(w.y) for w in writers] for writers in rounds_of(job)]
        results, busiest = table.in_turns(
            rows(given.engines), "rounds", job, given.repeats
        )
        print(
            f"\nE={epochs}: {job.rounds} rounds of {job.clients} clients with "
            f"{min(map(min, sizes))} to {max(map(max, sizes))} examples of {job.data}, "
            f"{job.model}, batches of {job.batch_size}; "
            f"{table.conditions(given.repeats, busiest)}"
        )
        table.show(results, "examples/s")
        print(
            "whole clients on whole cores, all waiting for the last of each round: "
            f"{busy_share(sizes, PROCESSES):.3f} of the bound at most"
        )
        faults += [f"E={epochs}: {fault}" for fault in disagreements(results)]
        tables.append(table.as_json(results, job, busiest))
    report = {"benchmark": "rounds", "machine": table.machine(), "tables": tables}
    return table.finish(faults, report, given.json)


def disagreements(results: table.Results) -> list[str]:
    """Rows whose mean training loss in a round is not that of the others."""
    # The bound trains no second round: its check is the first one's loss alone.
    losses = {
        name: [statistics.mean(round_) for round_ in zip(*checks, strict=True)]
        for name, measured in results.items()
        if (checks := [m.check for m in measured])
    }
    faults = []
    for number in range(max(map(len, losses.values()))):
        here = {name: loss[number] for name, loss in losses.items() if loss[number:]}
        share = _LATER if number else _FIRST
        allowed = share * statistics.median(here.values())
        faults += table.check_near(f"the loss in round {number + 1}", here, allowed)
    shown = (f"{n} {loss[0]:.3f} to {loss[-1]:.3f}" for n, loss in losses.items())
    print("training loss, first to last round: " + "; ".join(shown))
    return faults


if __name__ == "__main__":
    sys.exit(main())
