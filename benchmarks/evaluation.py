"""Personalization evaluation, clients a second: fedp, stock TFF, and the bound.

    python benchmarks/evaluation.py [--clients 24] [--epochs 5] [--repeats 3]

Half of a writer's images adapt the model, the other half tests it before and after.
Exits with 1 if the rows do not find about the same accuracies.
"""

from __future__ import annotations

import pathlib
import statistics
import sys
import tempfile

import table
from job import Job
from options import parser, rows
from row import Row
from writers import halves_of

# Before, all rows compute the same thing; after, each has shuffled in its own way.
_BEFORE, _AFTER = 0.003, 0.02


def main() -> int:
    """Measures, prints the table, and returns the exit code."""
    options = parser(__doc__, clients=24, least=100)
    options.add_argument("--epochs", type=int, default=5, help="local ones, to adapt")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            given.data,
            given.clients,
            0,
            given.epochs,
            given.least,
            given.most,
            seed=given.seed,
            weights=str(pathlib.Path(folder, "weights.npz")),
        )
        Row("starting point", "starting_point.py").run("evaluation", job)
        results, busiest = table.in_turns(
            rows(given.engines), "evaluation", job, given.repeats
        )
        sizes = [len(h.support.y) + len(h.query.y) for h in halves_of(job)]
    print(
        f"\n{job.clients} clients with {statistics.mean(sizes):.0f} examples (mean) of "
        f"{job.data}, {job.model}, {job.epochs} epochs in batches of "
        f"{job.batch_size}; {table.conditions(given.repeats, busiest)}"
    )
    table.show(results, "clients/s")
    report = {
        "benchmark": "evaluation",
        "machine": table.machine(),
        "tables": [table.as_json(results, job, busiest)],
    }
    return table.finish(disagreements(results), report, given.json)


def disagreements(results: table.Results) -> list[str]:
    """Rows whose mean accuracies are not those of the others."""
    faults = []
    for at, (when, allowed) in enumerate((("before", _BEFORE), ("after", _AFTER))):
        found = {
            name: statistics.mean(m.check[at] for m in measured)
            for name, measured in results.items()
        }
        print(
            f"mean accuracy {when}: "
            + "; ".join(f"{name} {value:.4f}" for name, value in found.items())
        )
        faults += table.check_near(f"the accuracy {when}", found, allowed)
    return faults


if __name__ == "__main__":
    sys.exit(main())
