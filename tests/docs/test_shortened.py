"""Which trainings of the documents are cut short."""

import pytest

from .shortened import shortened


@pytest.mark.parametrize(
    ("written", "run"),
    [
        (
            "train --data d --out r",
            "train --data d --out r --rounds 2 --reptile-rounds 1 --eval-every 0 "
            "--model mlp",
        ),
        ("train --rounds 60 --model m:f", "train --rounds 60 --model m:f"),
        (
            "train --stage fedavg,rounds=300,E=5",
            "train --stage fedavg,rounds=2,E=5 --model mlp",
        ),
        ("train --config c.toml", "train --config c.toml --model mlp"),
        ("train --resume run", "train --resume run"),
        ("tune run --rounds", "tune run --rounds"),
    ],
)
def test_shortened(written: str, run: str) -> None:
    assert shortened(written.split()) == run.split()
