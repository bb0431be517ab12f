"""What each guard does to clients that no model was trained on, by their data size.

    python benchmarks/guards.py a.tflite b.tflite --cache cache [--quick]

Evidence is recorded once a client in the device's own session and kept in the cache: a
run that was killed goes on, and a changed guard costs nothing. The guards then decide
in the device's own functions. Choose on `--clients validation`, report on `test`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import job
import numpy as np
from guard_evidence import BANDS, FOLDS, EvidenceJob, Record, load, path_of

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.guards import candidates_of, decide
from fedp.training.data import open_data
from fedp.training.data.splits import ClientSplit
from fedp.training.evaluation.intervals import share
from fedp.training.evaluation.workers import evaluate_on

_BOOTSTRAPS = 2000
_POINT = 0.01 + 1e-6  # of accuracy
_PLAIN = Policy(guard="always", epochs=5)  # as in training; all are compared with it

# A decision on a record: accuracy on each test set, and whether a model was kept.
Guard = Callable[[Record], tuple[np.ndarray, bool]]
GUARDS: dict[str, Policy] = {
    "never": Policy(guard="never"),
    "always, 5 epochs": _PLAIN,
    "always, 10 epochs": Policy(guard="always", epochs=10),
    "hold-out": Policy(guard="hold-out", epochs=5),
    "hold-out, margin 0.05": Policy(guard="hold-out", epochs=5, margin=0.05),
    "paired, t > 1": Policy(guard="paired", epochs=5, caution=1.0),
    "paired, t > 2": Policy(guard="paired", epochs=5, caution=2.0),
    "cross-validation": Policy(guard="cross-validation", epochs=10),
    "blend": Policy(guard="blend", epochs=5),
    "sure, 5 epochs": Policy(epochs=5),
    "sure, 10 epochs, blends": Policy(epochs=10, blends=(0.25, 0.5, 0.75, 1.0)),
    "sure, 10 epochs": Policy(epochs=10),
}


def by_policy(policy: Policy) -> Guard:
    """The guard of a policy, on recorded evidence."""
    trials = 1 if policy.guard == "hold-out" else FOLDS

    def guard(record: Record) -> tuple[np.ndarray, bool]:
        stops = set(record.epochs.tolist())
        wanted = tuple(c for c in candidates_of(policy) if c.epochs in stops)
        decision = decide(record.evidence(wanted, trials), policy)
        return record.deployed(decision.epochs, decision.blend), decision.keep

    return guard


def oracle(record: Record) -> tuple[np.ndarray, bool]:
    """Knows the test part: the better of always and never, client by client."""
    before, after = record.deployed(0, 0), record.deployed(_PLAIN.epochs, 1.0)
    keep = bool(after.mean() >= before.mean())
    return (after if keep else before), keep


@dataclasses.dataclass(frozen=True)
class Clients:
    """Of one guard in one band; a row a writer, averaged over draws and artifacts.

    Attributes:
        values: columns are accuracy deployed, before, and of always-personalize; shares
            hurt and hurt by more than a point; the same of always; reverted; falsely.
    """

    values: np.ndarray

    @classmethod
    def of(cls, records: Sequence[Record], guard: Guard) -> Clients:
        """Lets a guard decide on every record."""
        rows: dict[str, list[list[float]]] = {}
        for record in records:
            deployed, kept = guard(record)
            before, always = record.deployed(0, 0), record.deployed(5, 1.0)
            false = not kept and always.mean() > before.mean()
            row = [deployed.mean(), before.mean(), always.mean()]
            for after in (deployed, always):
                row += [np.mean(after < before - by) for by in (1e-6, _POINT)]
            rows.setdefault(record.client, []).append([*row, not kept, false])
        return cls(np.array([np.mean(own, axis=0) for own in rows.values()]))

    def figures(self) -> dict[str, Any]:
        """What a line of the table says."""
        v = self.values
        random = np.random.default_rng(0)
        drawn = v[random.integers(0, len(v), (_BOOTSTRAPS, len(v)))].mean(axis=1)

        def interval(of: Callable[[np.ndarray], np.ndarray]) -> list[float]:
            ends = np.percentile(of(drawn), [2.5, 97.5])
            return [float(of(v.mean(axis=0))), *map(float, ends)]

        hurt = share(int(round(v[:, 3].sum())), len(v))
        return {
            "clients": len(v),
            "deployed": interval(lambda m: m[..., 0]),
            "to_always": interval(lambda m: m[..., 0] - m[..., 2]),
            "gain": float((v[:, 0] - v[:, 1]).mean()),
            "gain_of_always": float((v[:, 2] - v[:, 1]).mean()),
            "hurt": [float(v[:, 3].mean()), hurt.low, hurt.high],
            "hurt_by_a_point": float(v[:, 4].mean()),
            "hurt_of_always": float(v[:, 5].mean()),
            "hurt_by_a_point_of_always": float(v[:, 6].mean()),
            "reverts": float(v[:, 7].mean()),
            "false_reverts": float(v[:, 8].mean()),
        }


def line(name: str, f: dict[str, Any]) -> str:
    """One guard in one band, as a row of a Markdown table."""

    def part(of: float, whole: float) -> str:
        return f"{of / whole:.2f}" if whole > 1e-9 else "-"

    value, low, high = f["deployed"]
    diff, least, most = (100 * d for d in f["to_always"])
    hurt, hurt_low, hurt_high = (100 * h for h in f["hurt"])
    kept = part(100 * f["gain"], f["gain_of_always"]).split(".")[0]
    cells = [
        name,
        f"{value:.4f} ({low:.3f} to {high:.3f})",
        f"{diff:+.2f} ({least:+.2f} to {most:+.2f})",
        f"{kept} %",
        f"{hurt:.1f} % ({hurt_low:.0f} to {hurt_high:.0f})",
        part(f["hurt"][0], f["hurt_of_always"]),
        part(f["hurt_by_a_point"], f["hurt_by_a_point_of_always"]),
        f"{100 * f['reverts']:.0f} %",
        f"{100 * f['false_reverts']:.0f} %",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| guard | deployed accuracy | to always, points | gain kept | hurt | of always | "
    "by > 1 point, of always | reverts | false ones |\n|" + "---|" * 9
)


def recorded(given: argparse.Namespace) -> list[Record]:
    """Records of all clients of the role and all artifacts, made where missing."""
    found: list[Record] = []
    for artifact in given.artifacts:
        manifest, _ = read_artifact(artifact)
        split = ClientSplit.from_json(manifest.client_split)
        with_seed = open_data(given.data, max_examples=given.most)
        names = [n for n in with_seed.clients() if split.role(n) == given.clients]
        with_seed.close()
        np.random.default_rng(5).shuffle(names)
        names = names[: given.limit]
        cache = given.cache / manifest.sha256[:16]
        cache.mkdir(parents=True, exist_ok=True)
        missing = [n for n in names if not path_of(cache, n).exists()]
        draws = 1 if given.quick else 9
        work = EvidenceJob(artifact, given.data, given.most, draws, cache)
        evaluate_on(given.processes, work, missing)
        for name in names:
            found += load(path_of(cache, name))
    return found


def main() -> int:
    """Records what is missing, prints a table a band."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("artifacts", nargs="+", type=pathlib.Path, help="of `fedp export`; a seed each")
    add("--data", default=str(job.DATA), help="what they were trained on")
    add("--clients", default="test", choices=("validation", "test"))
    add("--most", type=int, default=400, help="images of a client at most")
    add("--limit", type=int, help="clients of an artifact at most")
    add("--cache", type=pathlib.Path, required=True, help="directory of the records")
    add("--processes", type=int, default=2)
    add("--quick", action="store_true", help="six clients, one draw each")
    add("--json", type=pathlib.Path, help="file to write all figures to")
    given = parser.parse_args()
    if given.quick:
        given.limit = 6
    records = recorded(given)
    guards = {name: by_policy(policy) for name, policy in GUARDS.items()}
    everything: dict[str, Any] = {}
    for band in BANDS:
        own = [r for r in records if r.band == band.name]
        if not own:
            continue
        writers = len({r.client for r in own})
        print(f"\n{band.name} images, {writers} {given.clients} clients\n\n{HEAD}")
        for name, guard in {**guards, "oracle": oracle}.items():
            figures = Clients.of(own, guard).figures()
            everything.setdefault(band.name, {})[name] = figures
            print(line(name, figures), flush=True)
    if given.json:
        given.json.write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
