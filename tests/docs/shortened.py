"""`fedp`, but a training that the documents leave at its defaults ends in seconds.

A `fedp train` without `--rounds` gets `--rounds 2 --reptile-rounds 1 --eval-every 0`,
one without `--model` gets the small `mlp`; `rounds=300` of a `--stage` becomes
`rounds=2`.
`--resume` and every other verb stay as they are.
"""

import re
import sys

SHORT = ("--rounds", "2", "--reptile-rounds", "1", "--eval-every", "0")


def shortened(arguments: list[str]) -> list[str]:
    if arguments[:1] != ["train"] or "--resume" in arguments:
        return arguments
    short = [re.sub(r"\brounds=\d+", "rounds=2", argument) for argument in arguments]
    if not {"--rounds", "--stage", "--config"} & set(arguments):
        short += SHORT
    if "--model" not in arguments:
        short += ("--model", "mlp")
    return short


if __name__ == "__main__":
    from fedp.cli import main

    main(shortened(sys.argv[1:]))
