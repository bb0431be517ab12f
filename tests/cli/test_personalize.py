"""`fedp personalize`: what its limits stop goes on with the next call."""

import json

import numpy as np
import pytest

from fedp.device_runtime.interpreter import available_interpreters

from .calling import fedp

pytestmark = pytest.mark.skipif(
    not available_interpreters(), reason="needs an interpreter"
)


def test_what_a_limit_stops_goes_on(mlp_artifact, tmp_path):
    random = np.random.default_rng(0)
    y = random.integers(0, 5, 40)
    patterns = random.integers(0, 200, (5, 28, 28))
    x = (patterns[y] + random.integers(0, 55, (40, 28, 28))).astype(np.uint8)
    np.savez(tmp_path / "me.npz", x=x, y=y)
    asked = ("personalize", mlp_artifact, "--data", tmp_path / "me.npz", "--epochs", 20)

    def outcome(*more):
        return json.loads(fedp(*asked, *more, "--json").stdout)

    whole = outcome("--state", tmp_path / "whole")
    assert whole["decision"] == "keep"
    state = ("--state", tmp_path / "state")
    first = outcome(*state, "--steps", 50)
    assert (first["decision"], first["stopped_by"]) == ("unfinished", "steps")
    lines = fedp(*asked, *state, "--seconds", 0).stdout
    assert "unfinished: stopped by seconds after 50 of at most 200 steps" in lines
    rest = outcome(*state)
    assert (rest["decision"], rest["steps"]) == ("keep", whole["steps"] - 50)
    assert rest["personalized_loss"] == whole["personalized_loss"]
    few = outcome(*state, "--examples", 12)
    assert few["examples"] == 12
