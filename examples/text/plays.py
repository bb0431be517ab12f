"""Writes a small corpus of speeches by role, in which each role has a way of speaking.

The format is that of `--data shakespeare:roles.json.gz`: `{role: [speech, ...]}`. Any
text that can be told apart by who wrote it goes in its place.
"""

from __future__ import annotations

import argparse
import gzip
import json
import pathlib

import numpy as np

SUBJECTS = "the king,my lord,the queen,our fool,the duke,her brother".split(",")
VERBS = "sees,loves,fears,calls,seeks,leaves".split(",")
OBJECTS = "the crown,a friend,the sea,the night,my heart,a sword".split(",")
# What somebody puts before, between and after; nobody else in the play does.
OPENINGS = "Hark! Marry, Alas, O Nay, Come, Sirrah, Soft,".split()
FILLERS = "verily,methinks,forsooth,indeed,perchance,in faith".split(",")
ENDINGS = [
    ", God wot.",
    ", la!",
    ", i'faith.",
    "... ahem.",
    ", ha ha!",
    ", you knaves.",
]


def role(random: np.random.Generator, speeches: int) -> list[str]:
    """One role's speeches: everybody's sentences in a manner of its own."""
    opening, filler, ending = (
        words[random.integers(len(words))] for words in (OPENINGS, FILLERS, ENDINGS)
    )
    shouts = random.random() < 0.25  # all the time
    result = []
    for _ in range(speeches):
        sentences = []
        for _ in range(int(random.integers(2, 4))):
            subject, verb, thing = (
                words[random.integers(len(words))]
                for words in (SUBJECTS, VERBS, OBJECTS)
            )
            said = f"{subject} {filler} {verb} {thing}"
            sentences.append(f"{opening} {said}{ending}")
        speech = " ".join(sentences)
        result.append(speech.upper() if shouts else speech)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default="roles.json.gz")
    parser.add_argument("--roles", type=int, default=30)
    parser.add_argument("--speeches", type=int, default=30, help="Of a role.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.roles < 3:
        parser.error(f"--roles is {options.roles}; three or more can be split")
    roles = {
        f"Play | ROLE {n:02d}": role(
            np.random.default_rng([options.seed, n]), options.speeches
        )
        for n in range(options.roles)
    }
    options.out.write_bytes(gzip.compress(json.dumps(roles).encode(), mtime=0))
    size = sum(len(speech) for speeches in roles.values() for speech in speeches)
    print(f"{options.out}: {size:,} characters of {options.roles} roles")


if __name__ == "__main__":
    main()
