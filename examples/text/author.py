"""One role's device: half of the speeches adapt the model, and it goes on with others.

Needs what a device has, and of the training install only the reader of the data set.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys

import numpy as np

from fedp.device_runtime import Personalizer
from fedp.device_runtime.errors import FedpError
from fedp.training.data import Examples, open_data, split_examples


def accuracy(device: Personalizer, examples: Examples) -> float:
    """Share of the next characters that the live model gets right."""
    labelled = examples.y >= 0
    hits = device.predict(examples.x).argmax(axis=-1) == examples.y
    return float(hits[labelled].mean())


def go_on(device: Personalizer, beginning: str, length: int) -> str:
    """The text with the most probable characters, one after the other."""
    names, steps = device.manifest.classes, device.manifest.input_shape[0]
    tokens = [names.index(character) for character in beginning]
    while len(tokens) < length:
        x = np.zeros((1, steps), np.int32)  # 0 is padding, which comes last
        recent = tokens[-steps:]
        x[0, : len(recent)] = recent
        answers = device.predict(x)[0, len(recent) - 1]
        tokens.append(int(answers.argmax()))
        if len(names[tokens[-1]]) > 1:  # <eos> and the like
            tokens.pop()
            break
    return "".join(names[token] for token in tokens)


def beginning_of(examples: Examples, names: tuple[str, ...], size: int) -> str:
    """The first characters of the first speech in it."""
    first = next(row for row in examples.x if len(names[row[0]]) > 1)
    return "".join(names[token] for token in first[1 : size + 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=pathlib.Path)
    parser.add_argument("--data", default="shakespeare:roles.json.gz")
    parser.add_argument("--role", help="Default: the first test client.")
    parser.add_argument("--state", type=pathlib.Path, default="state")
    parser.add_argument("--length", type=int, default=72, help="Of the samples.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        show(options)
    except FedpError as error:
        sys.exit(f"error: {error}")


def show(options: argparse.Namespace) -> None:
    with (
        contextlib.closing(open_data(options.data)) as data,
        Personalizer.open(options.artifact, options.state) as device,
    ):
        role = options.role or first_test_client(device, data.clients())
        if role not in data.clients():
            raise FedpError(f"--role {role!r}: no such role; it is one of the keys")
        support, query = split_examples(
            role, data.load(role), options.seed, test=0.5, train_count=None
        )
        beginning = beginning_of(query, device.manifest.classes, 16)
        device.reset()  # of an earlier run of this script
        for when in ("before", "after"):
            if when == "after":
                outcome = device.personalize(support.x, support.y, seed=options.seed)
                print(f"{outcome.decision}: {outcome.reason}")
            print(f"{when}: {accuracy(device, query):.3f} of the characters are right")
            print(f"  {go_on(device, beginning, options.length)}")
    print(f"{role}; the first 16 characters were given")


def first_test_client(device: Personalizer, clients: list[str]) -> str:
    """Of those that the manifest's rule keeps out of training."""
    from fedp.training.data import ClientSplit

    split = ClientSplit.from_json(device.manifest.client_split)
    return split.select(clients, "test")[0]


if __name__ == "__main__":
    main()
