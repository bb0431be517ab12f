"""ONNX Runtime's training of a graph made from the layers, channels first."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types
from typing import Any

import numpy as np
from device import layers
from device.peer import Peer, Predict, Train
from device.work import INFERENCES, Work

# ONNX Runtime 1.19 reads IR up to 10, and its artifacts are in onnx's newest: an onnx
# of its time is needed.
_IR_VERSION, _OPSET = 8, 15


def prepare(work: Work) -> None:
    import onnx

    _without_torch()
    from onnxruntime.training import artifacts

    model = _graph(work, work.y.shape[1], softmax=False)
    artifacts.generate_artifacts(
        model,
        requires_grad=[weight.name for weight in model.graph.initializer],
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType.SGD,
        artifact_directory=str(_folder(work)),
    )
    for examples in INFERENCES:
        path = work.folder / f"infer{examples}.onnx"
        onnx.save(_graph(work, examples, softmax=True), str(path))


def train(work: Work) -> Train:
    _without_torch()
    from onnxruntime.training.api import CheckpointState, Module, Optimizer

    folder = _folder(work)
    state = CheckpointState.load_checkpoint(str(folder / "checkpoint"))
    module = Module(
        str(folder / "training_model.onnx"), state, session_options=_one_thread()
    )
    optimizer = Optimizer(str(folder / "optimizer_model.onnx"), module)
    optimizer.set_learning_rate(work.learning_rate)
    module.train()

    def step(x: np.ndarray, y: np.ndarray) -> float:
        loss = module(_images(x), y.astype(np.int64))
        optimizer.step()
        module.lazy_reset_grad()
        return float(loss)

    return step


def predict(work: Work, examples: int) -> Predict:
    import onnxruntime

    path = str(work.folder / f"infer{examples}.onnx")
    session = onnxruntime.InferenceSession(path, _one_thread())

    def call(x: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = session.run(None, {"x": _images(x)})[0]
        return probabilities

    return call


def _without_torch() -> None:
    """Makes `onnxruntime.training` importable, whose __init__ imports PyTorch.

    What is used here, the API and the artifacts, does without.
    """
    if "onnxruntime.training" in sys.modules:
        return
    found = importlib.util.find_spec("onnxruntime")
    assert found is not None and found.origin is not None
    package = types.ModuleType("onnxruntime.training")
    package.__path__ = [str(pathlib.Path(found.origin).parent / "training")]
    sys.modules["onnxruntime.training"] = package


def _one_thread() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _folder(work: Work) -> pathlib.Path:
    folder = work.folder / "onnx_runtime"
    folder.mkdir(exist_ok=True)
    return folder


def _images(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _graph(work: Work, examples: int, softmax: bool) -> Any:
    """The layers as a graph from "x" [n, channels, height, width] to "output"."""
    from onnx import TensorProto, helper, numpy_helper

    stack = work.layers
    weights, nodes, initializers, value = iter(work.weights()), [], [], "x"
    image: layers.Shape = ()  # that the next fully connected layer sees flattened
    for number, (layer, before) in enumerate(stack):
        inputs = [value]
        for kind, _ in zip(("kernel", "bias"), layer.weights(before), strict=False):
            array = _converted(next(weights), image if len(before) == 1 else ())
            inputs.append(f"{kind}{number}")
            initializers.append(numpy_helper.from_array(array, inputs[-1]))
        image = before if isinstance(layer, layers.Flatten) else ()
        value = f"value{number}"
        operator, attributes = _operator(layer, before)
        nodes.append(helper.make_node(operator, inputs, [value], **attributes))
    last = ("Softmax", {"axis": 1}) if softmax else ("Identity", {})
    nodes.append(helper.make_node(last[0], [value], ["output"], **last[1]))
    height, width, channels = layers.INPUT_SHAPE
    graph = helper.make_graph(
        nodes,
        work.model,
        [_value("x", TensorProto.FLOAT, [examples, channels, height, width])],
        [_value("output", TensorProto.FLOAT, [examples, layers.CLASSES])],
        initializers,
    )
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)


def _value(name: str, kind: int, shape: list[int]) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, shape)


def _converted(weight: np.ndarray, image: layers.Shape) -> np.ndarray:
    """Kernels as [out, in, height, width], and rows of pixels channels first."""
    if weight.ndim == 4:
        depthwise = weight.shape[3] == 1
        weight = weight.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    elif weight.ndim == 2 and len(image) == 3:
        units = weight.shape[1]
        weight = weight.reshape(*image, units).transpose(2, 0, 1, 3).reshape(-1, units)
    return np.ascontiguousarray(weight)


def _operator(layer: layers.Layer, before: layers.Shape) -> tuple[str, dict[str, Any]]:
    """An ONNX operator and its attributes."""
    match layer:
        case layers.Conv():
            return "Conv", {"strides": [layer.stride] * 2}
        case layers.DepthwiseConv():
            return "Conv", {"group": before[2]}
        case layers.Relu():
            return "Relu", {}
        case layers.MaxPool():
            size = [layer.size] * 2
            return "MaxPool", {"kernel_shape": size, "strides": size}
        case layers.Flatten():
            return "Flatten", {}
        case layers.Dense():
            return "Gemm", {}
    raise AssertionError(layer)


PEER = Peer(
    "ONNX Runtime training",
    ("onnxruntime-training-cpu", "numpy"),
    "pip install onnxruntime-training-cpu==1.19.2 onnx==1.16.2 'numpy<2'",
    train,
    predict,
    prepare,
    note="imported without PyTorch, which its training does not need",
)
