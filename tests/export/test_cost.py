import pathlib
import re
import subprocess
import sys

import pytest

tf = pytest.importorskip("tensorflow", reason="exporting needs the training install")

from fedp.device_runtime import contract  # noqa: E402
from fedp.device_runtime.artifact_file import read_artifact  # noqa: E402
from fedp.device_runtime.interpreter import available_interpreters  # noqa: E402
from fedp.export.exporter import Target, export_model  # noqa: E402

layers = tf.keras.layers


def cost(*stack, batch=4, **target):
    model = tf.keras.Sequential([layers.Input((6, 6, 1)), *stack])
    done = export_model(
        model,
        name="small",
        classes=[str(i) for i in range(model.output_shape[-1])],
        target=Target(batch_size=batch, **target),
        parity_steps=1,
    )
    return done.manifest.cost


def test_products_of_a_dense_model():
    found = cost(layers.Flatten(), layers.Dense(5))["signatures"]
    # y = x W + b: 36 multiply-adds for each of 5 outputs.
    forward = 2 * 36 * 5
    assert found["infer"]["batch"] == 1
    assert found["infer"]["by_op"]["BATCH_MATMUL"] == forward
    # A step: the output of 4 examples, and the gradient by W; none by x is needed.
    assert found["train"]["batch"] == 4
    assert found["train"]["by_op"]["BATCH_MATMUL"] == 2 * 4 * forward
    # Softmax of 5 numbers in 5 passes; 5 biases.
    assert found["infer"]["by_op"]["SOFTMAX"] == 25
    assert found["infer"]["flops"] == forward + 25 + 5


def test_hidden_layers_cost_a_third_product():
    found = cost(layers.Flatten(), layers.Dense(7), layers.Dense(5))["signatures"]
    hidden, last = 2 * 36 * 7, 2 * 7 * 5
    # The last layer also sends its gradient back to the hidden one.
    expected = 4 * (2 * hidden + 3 * last)
    assert found["train"]["by_op"]["BATCH_MATMUL"] == expected


def test_a_frozen_part_costs_once_an_example():
    policy = contract.Policy(trainable="head")
    stack = [layers.Conv2D(3, 3, name="conv"), layers.Flatten(), layers.Dense(5)]
    found = cost(*stack, policy=policy)["signatures"]
    # 4 x 4 x 3 outputs, each a sum over 3 x 3 pixels and a bias; no activation.
    outputs = 4 * 4 * 3
    assert found["features"]["by_op"]["CONV_2D"] == 4 * outputs * (2 * 9 + 1)
    assert found["train"]["by_op"]["BATCH_MATMUL"] == 2 * 4 * (2 * 48 * 5)


def test_a_file_of_one_batch_infers_that_batch():
    found = cost(layers.Flatten(), layers.Dense(5), fixed_batch=True)["signatures"]
    assert found["infer"]["batch"] == 4
    assert found["infer"]["by_op"]["BATCH_MATMUL"] == 4 * 2 * 36 * 5


def test_live_tensors_are_counted_while_they_are_needed():
    found = cost(layers.Flatten(), layers.Dense(5))["signatures"]["infer"]
    # At least the input of 36 and the output of 5 numbers, and never all tensors.
    assert 4 * (36 + 5) <= found["live_bytes"] < 4 * 10 * (36 + 5)


PROCESS = """
import sys
import numpy as np
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.session import Session
manifest, content = read_artifact(sys.argv[1])
session = Session.open(manifest, content, sys.argv[2])
x = np.random.default_rng(0).random((20, *manifest.input_shape), dtype=np.float32)
y, weight = np.zeros(20, np.int32), np.ones(20, np.float32)
for _ in range(5):
    session.train_step(session.features(x), y, weight, 0.01)
print(open("/proc/self/status").read())
"""


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="Linux")
@pytest.mark.parametrize("kind", available_interpreters())
@pytest.mark.parametrize("artifact", ["mlp_artifact", "cnn_artifact"])
def test_memory_is_about_what_a_training_process_takes(artifact, kind, request):
    path = request.getfixturevalue(artifact)
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, path, kind], capture_output=True, text=True
    )
    measured = 1024 * int(re.search(r"VmHWM:\s+(\d+)", done.stdout)[1])
    estimated = read_artifact(path)[0].cost["training_bytes"][kind]
    assert estimated == pytest.approx(measured, rel=0.15)
