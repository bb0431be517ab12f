"""What each guard does to clients that no model was trained on, by their data size.

    python benchmarks/guards.py a.tflite b.tflite --cache cache [--quick]
    python benchmarks/guards.py a2.tflite b2.tflite --against a.tflite b.tflite ...

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
from typing import Any, NamedTuple

import job
import numpy as np
from guard_evidence import BANDS, EvidenceJob, Record, load, path_of
from guard_figures import HEAD, figures, floor, line

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.guards import candidates_of, decide
from fedp.training.data import open_data
from fedp.training.data.splits import ClientSplit
from fedp.training.evaluation.workers import evaluate_on

_POINT = 0.01 + 1e-6  # of accuracy


class Case(NamedTuple):
    """One client, cut to a band's size, on one draw.

    Attributes:
        own: with the adaptation under test.
        plain: with the one that all guards are compared with, on the same images.
    """

    own: Record
    plain: Record


# A decision on a record: accuracy on each test set, and whether a model was kept.
Guard = Callable[[Record], tuple[np.ndarray, bool]]
_QUARTERS = (0.25, 0.5, 0.75, 1.0)
# Epochs are the artifact's own.
GUARDS: dict[str, Policy] = {
    "never": Policy(guard="never"),
    "always": Policy(guard="always"),
    "hold-out": Policy(guard="hold-out"),
    "hold-out, margin 0.05": Policy(guard="hold-out", margin=0.05),
    "paired, t > 1": Policy(guard="paired", caution=1.0),
    "paired, t > 2": Policy(guard="paired", caution=2.0),
    "cross-validation": Policy(guard="cross-validation"),
    "blend": Policy(guard="blend", blends=_QUARTERS),
    "sure, blends": Policy(blends=_QUARTERS),
    "sure, caution 0.75": Policy(caution=0.75),
    "sure, caution 2": Policy(caution=2.0),
    "sure (the default)": Policy(),
}


def by_policy(policy: Policy) -> Guard:
    """The guard of a policy, on recorded evidence."""

    def guard(record: Record) -> tuple[np.ndarray, bool]:
        own = dataclasses.replace(policy, epochs=int(record.epochs[-1]))
        folds = int(record.fold.max()) + 1
        trials = max(1, round(folds * own.hold_out))
        if own.guard != "hold-out":
            trials = folds
        decision = decide(record.evidence(candidates_of(own), trials), own)
        return record.deployed(decision.epochs, decision.blend), decision.keep

    return guard


def always(record: Record) -> np.ndarray:
    """Accuracy of always-personalize on each test set."""
    return record.deployed(int(record.epochs[-1]), 1.0)


def oracle(record: Record) -> tuple[np.ndarray, bool]:
    """Knows the test part: the better of always and never, client by client."""
    before, after = record.deployed(0, 0), always(record)
    keep = bool(after.mean() >= before.mean())
    return (after if keep else before), keep


def rows_of(cases: Sequence[Case], guard: Guard) -> np.ndarray:
    """What `figures` takes: a row a writer, averaged over draws and artifacts."""
    rows: dict[str, list[list[float]]] = {}
    for own, plain in cases:
        deployed, kept = guard(own)
        before, usual = own.deployed(0, 0), always(plain)
        false = not kept and always(own).mean() > before.mean()
        row = [deployed.mean(), before.mean(), usual.mean()]
        for after in (deployed, usual):
            row += [np.mean(after < before - by) for by in (1e-6, _POINT)]
        rows.setdefault(own.client, []).append([*row, not kept, false])
    return np.array([np.mean(own, axis=0) for own in rows.values()])


def recorded(
    given: argparse.Namespace, artifact: pathlib.Path, folds: int
) -> list[Record]:
    """Records of all clients of the role, made where missing."""
    manifest, _ = read_artifact(artifact)
    split = ClientSplit.from_json(manifest.client_split)
    with_seed = open_data(given.data, max_examples=given.most)
    names = [n for n in with_seed.clients() if split.role(n) == given.clients]
    with_seed.close()
    np.random.default_rng(5).shuffle(names)
    names = names[: given.limit]
    cache = given.cache / f"{manifest.sha256[:16]}-{folds}-{given.draws}"
    cache.mkdir(parents=True, exist_ok=True)
    missing = [n for n in names if not path_of(cache, n).exists()]
    work = EvidenceJob(artifact, given.data, given.most, given.draws, folds, cache)

    def told(done: int, of: int, client: str) -> None:
        print(f"{artifact.name}: {done}/{of} {client}", file=sys.stderr, flush=True)

    evaluate_on(given.processes, work, missing, told)
    return [record for name in names for record in load(path_of(cache, name))]


def cases_of(given: argparse.Namespace) -> list[Case]:
    """All clients of all artifacts, each beside the one it is compared with."""
    against = given.against or given.artifacts
    if len(against) != len(given.artifacts):
        raise SystemExit(
            f"{len(given.artifacts)} artifacts against {len(against)}: name one each"
        )
    cases: list[Case] = []
    for artifact, plain in zip(given.artifacts, against, strict=True):
        own = recorded(given, artifact, given.folds)
        other = own if plain == artifact else recorded(given, plain, 0)
        for first, second in zip(own, other, strict=True):
            if not np.array_equal(first.before, second.before):
                raise SystemExit(
                    f"{artifact} and {plain} differ before they adapt, on "
                    f"{first.client}: export both from the same run"
                )
            cases.append(Case(first, second))
    return cases


def tables(cases: Sequence[Case], name: str) -> dict[str, Any]:
    """Prints a table a band; returns all figures, by band and guard."""
    guards = {name: by_policy(policy) for name, policy in GUARDS.items()}
    everything: dict[str, Any] = {}
    for band in BANDS:
        own = [case for case in cases if case.own.band == band.name]
        if not own:
            continue
        writers = len({case.own.client for case in own})
        print(f"\n{band.name} images, {writers} {name} clients\n\n{HEAD}")
        found = everything.setdefault(band.name, {})
        for label, guard in {**guards, "oracle": oracle}.items():
            found[label] = figures(rows_of(own, guard))
            print(line(label, found[label]), flush=True)
        found["floor"] = floor([(c.own.before, c.own.after[-1, -1]) for c in own])
        told = ", ".join(f"{key} {value:.3f}" for key, value in found["floor"].items())
        print(f"\nWith perfect knowledge of the true gains: {told}", flush=True)
    return everything


def main() -> int:
    """Records what is missing, prints a table a band."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("artifacts", nargs="+", type=pathlib.Path, help="of `fedp export`; a seed each")
    add("--against", nargs="+", type=pathlib.Path, help="their always-personalize")
    add("--data", default=str(job.DATA), help="what they were trained on")
    add("--clients", default="test", choices=("validation", "test"))
    add("--most", type=int, default=400, help="images of a client at most")
    add("--limit", type=int, help="clients of an artifact at most")
    add("--cache", type=pathlib.Path, required=True, help="directory of the records")
    add("--folds", type=int, default=Policy().folds)
    add("--draws", type=int, default=2, help="of each client at most")
    add("--processes", type=int, default=2)
    add("--quick", action="store_true", help="six clients, one draw each")
    add("--json", type=pathlib.Path, help="file to write all figures to")
    given = parser.parse_args()
    if given.quick:
        given.limit, given.draws = 6, 1
    everything = tables(cases_of(given), given.clients)
    if given.json:
        given.json.write_text(json.dumps(everything, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
