"""Counting XNNPACK's partitions of a file."""

from __future__ import annotations

import sys

import pytest

tf = pytest.importorskip("tensorflow", reason="exporting needs the training install")

from fedp.export.conversion import quiet  # noqa: E402
from fedp.export.delegation import partitions  # noqa: E402


def test_builtin_models_are_one_partition(cnn_artifact, mlp_artifact):
    pytest.importorskip("ai_edge_litert")
    assert partitions(cnn_artifact.read_bytes()) == 1
    assert partitions(mlp_artifact.read_bytes()) == 1


def test_an_op_that_is_refused_divides(tmp_path):
    pytest.importorskip("ai_edge_litert")

    class Halving(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4])])
        def train(self, x):
            ordered = tf.gather(x * 2.0, tf.argsort(x[:, 0]))
            return {"y": ordered * 3.0}

    module = Halving()
    tf.saved_model.save(module, str(tmp_path), signatures={"train": module.train})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    with quiet():
        content = converter.convert()
    assert partitions(content) > 1


def test_nothing_is_known_without_litert(cnn_artifact, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert partitions(cnn_artifact.read_bytes()) is None
