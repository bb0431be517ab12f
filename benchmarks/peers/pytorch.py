"""PyTorch, eager, in the channels-last layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from device import layers
from device.peer import Peer, Predict, Train
from device.work import Work


def train(work: Work) -> Train:
    import torch

    parameters = _parameters(work)
    optimizer = torch.optim.SGD(parameters, work.learning_rate)

    def step(x: np.ndarray, y: np.ndarray) -> float:
        optimizer.zero_grad()
        logits = _forward(work, parameters, _images(x))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y).long())
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def predict(work: Work, examples: int) -> Predict:
    import torch

    parameters = _parameters(work)

    def call(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = _forward(work, parameters, _images(x))
            probabilities: np.ndarray = torch.softmax(logits, 1).numpy()
        return probabilities

    return call


def _images(x: np.ndarray) -> Any:
    import torch

    images = torch.from_numpy(x).permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last)


def _parameters(work: Work) -> list[Any]:
    """Kernels as [out, in, height, width] or [out, in], channels last in memory."""
    import torch

    torch.set_num_threads(1)
    parameters = []
    for weight in work.weights():
        tensor = torch.from_numpy(weight)
        if weight.ndim == 4:
            depthwise = weight.shape[3] == 1
            order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
            tensor = tensor.permute(order).clone(memory_format=torch.channels_last)
        elif weight.ndim == 2:
            tensor = tensor.T.contiguous()
        parameters.append(tensor.requires_grad_())
    return parameters


def _forward(work: Work, parameters: list[Any], x: Any) -> Any:
    import torch.nn.functional as F

    weights = iter(parameters)
    for layer, before in work.layers:
        match layer:
            case layers.Conv():
                x = F.conv2d(x, next(weights), next(weights), layer.stride)
            case layers.DepthwiseConv():
                x = F.conv2d(x, next(weights), next(weights), groups=before[2])
            case layers.Relu():
                x = F.relu(x)
            case layers.MaxPool():
                x = F.max_pool2d(x, layer.size)
            case layers.Flatten():
                x = x.permute(0, 2, 3, 1).flatten(1)
            case layers.Dense():
                x = F.linear(x, next(weights), next(weights))
    return x


PEER = Peer(
    "PyTorch eager",
    ("torch", "numpy"),
    "pip install torch numpy",
    train,
    predict,
    unneeded=(
        "*/site-packages/nvidia/*",
        "*/site-packages/triton/*",
        "*/torch/lib/lib*cuda*",
    ),
    note="channels last; PyPI's wheel brings CUDA: not in its size, but in its peak",
)
