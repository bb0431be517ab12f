"""The certificate of each kind of model passes on the machine that made it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.certificate import Certificate
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.verification import verify
from fedp.export import certification
from fedp.export.exporter import Target, export_model

layers = tf.keras.layers


def made(*middle: layers.Layer, classes: int = 4, shape=(6, 6, 1), **options):
    tf.keras.utils.set_random_seed(0)
    head = [layers.Flatten(), layers.Dense(classes, name="logits")]
    model = tf.keras.Sequential([layers.Input(shape), *middle, *head])
    target = Target(batch_size=6, **options.pop("target", {}))
    done = export_model(
        model,
        name="test",
        classes=[str(c) for c in range(classes)],
        target=target,
        parity_steps=5,
        seed=3,
        **options,
    )
    return done, Certificate.from_bytes(done.certificate, done.manifest)


MODELS = {
    "plain": {},
    "dropout": {
        "middle": [layers.Flatten(), layers.Dense(9, "relu"), layers.Dropout(0.5)],
        "target": {"client_optimizer": "momentum"},
    },
    "adam": {
        "middle": [layers.Flatten(), layers.Dense(9, "relu")],
        "target": {"client_optimizer": "adam", "policy": Policy(learning_rate=0.001)},
    },
    "head": {
        "middle": [layers.Conv2D(3, 3, activation="relu")],
        "target": {"policy": Policy(trainable="head")},
    },
    "fixed batch": {"target": {"fixed_batch": True}},
}


@pytest.mark.parametrize("name", MODELS)
def test_made_here_passes_here(name):
    options = dict(MODELS[name])
    done, proof = made(*options.pop("middle", []), **options)
    assert (proof.random, proof.seed) == (name == "dropout", 3)
    for kind in available_interpreters():
        result = verify(done.manifest, done.content, proof, kind)
        assert result.passed and all(s.strain < 0.2 for s in result.steps)
    if name != "adam":  # It may drift from rounding, and then has fewer.
        assert len(proof.losses) == 5 and (proof.weight[-1] == 0).any()


def test_what_it_says():
    done, proof = made()
    assert proof.tensorflow == tf.__version__ and proof.lowering
    for kind, parity in done.manifest.parity.items():
        assert proof.interpreters[kind].items() >= parity.items()
        assert proof.interpreters[kind]["version"][0].isdigit()
    assert {at.dtype.name for at in proof.positions} == {"int32"}
    assert made()[0].certificate == done.certificate


def test_steps_that_drift_here_are_left_out(monkeypatch):
    """With next to no tolerance, rounding counts as drift; the first step stays."""
    monkeypatch.setattr(certification, "_STRAIN", 0.0)
    _, proof = made()
    assert len(proof.losses) == len(proof.x) == len(proof.moved) == 1
    assert [len(values) for values in proof.samples] == [2, 2]
    assert np.isfinite(proof.samples[0]).all()
