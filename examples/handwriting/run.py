"""Trains on many writers, exports, evaluates, and shows what it does for one of them.

Through the functions that `fedp train`, `fedp export` and `fedp evaluate` call; the
last part is what an app on a device does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import sys

import drawing

from fedp.device_runtime.errors import FedpError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="synthetic:60")
    parser.add_argument("--out", type=pathlib.Path, default="handwriting")
    parser.add_argument("--model", default="mlp", help="mlp or emnist_cnn.")
    parser.add_argument("--rounds", type=int, default=60, help="Of FedAvg.")
    parser.add_argument("--reptile-rounds", type=int, default=20)
    parser.add_argument("--max-examples", type=int, help="Of a writer.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        run(options)
    except FedpError as error:
        sys.exit(f"error: {error}")


def run(options: argparse.Namespace) -> None:
    # TensorFlow is on the server alone: the device's part below does not need it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from fedp.device_runtime.contract import Policy
    from fedp.export.exporter import Target, write_artifact
    from fedp.export.from_run import export_run
    from fedp.training.configuration import Stage, TrainingConfig
    from fedp.training.evaluation import evaluate
    from fedp.training.loop import train

    config = TrainingConfig(
        options.data,
        model=options.model,
        stages=(
            Stage("fedavg", "fedavg", options.rounds, local_epochs=2),
            Stage(
                "reptile",
                "reptile",
                options.reptile_rounds,
                server_optimizer="adam",
                server_learning_rate=1e-3,
            ),
        ),
        max_examples=options.max_examples,
        seed=options.seed,
        eval_every=0,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    train(config, options.out / "run")

    artifact = options.out / "model.tflite"
    changes = {"learning_rate": 0.05, "epochs": 10}
    target = Target(policy=Policy(**changes))
    export = export_run(options.out / "run", target=target, changes=changes)
    write_artifact(export.content, artifact, export.certificate)

    report = options.out / "report"
    summary = evaluate(
        artifact, options.data, "test", report, max_examples=options.max_examples
    )
    means = (summary.initial, summary.personalized, summary.deployed)
    initial, personalized, deployed = (mean.value for mean in means)
    print(
        f"{summary.clients} new writers: initial {initial:.3f}, personalized "
        f"{personalized:.3f}, deployed {deployed:.3f}; see {report / 'report.html'}"
    )
    show(artifact, options, most_helped(report))


def most_helped(report: pathlib.Path) -> str:
    """The writer whose accuracy the device raised most."""
    from fedp.training.evaluation import read_clients_csv

    results = read_clients_csv(report / "clients.csv")
    return max(results, key=lambda r: (r.deployed - r.initial, r.client)).client


def show(artifact: pathlib.Path, options: argparse.Namespace, writer: str) -> None:
    """One writer's device: half of the examples adapt, the others are read."""
    from fedp.device_runtime import Personalizer
    from fedp.training.data import open_data, split_examples

    opened = open_data(options.data, max_examples=options.max_examples)
    with contextlib.closing(opened) as data:
        own = data.train_count(writer)
        support, query = split_examples(
            writer, data.load(writer), 0, test=0.5, train_count=own
        )
    with Personalizer.open(artifact, options.out / f"state_{writer}") as device:
        device.reset()  # of an earlier run of this script
        before = device.predict(query.x).argmax(axis=-1)
        outcome = device.personalize(support.x, support.y)
        after = device.predict(query.x).argmax(axis=-1)
        classes = device.manifest.classes
    print(f"\nwriter {writer}, the one helped most: {outcome.decision}")
    print(outcome.reason)
    print(
        f"of {len(query.y)} characters that the device never saw, right before: "
        f"{(before == query.y).sum()}, after: {(after == query.y).sum()}\n"
    )
    mended = ((before != query.y) & (after == query.y)).nonzero()[0][:4]
    captions = [f"{classes[before[i]]}, now {classes[after[i]]}" for i in mended]
    print(drawing.side_by_side([query.x[i] for i in mended], captions))


if __name__ == "__main__":
    main()
