"""The tasks in MindSpore's words, for mindspore.nn's and mint's losses alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from task import Layer, Task, blocked


class Model:
    """A task's layers as MindSpore's own, with the task's initial weights."""

    def __init__(self, mindspore: Any, task: Task) -> None:
        self.mindspore = mindspore
        self.rate = task.rate
        self.shapes = [value.shape for value in task.parameters]
        self.layers: list[Callable[[Any], Any]] = [self._layer(layer) for layer in task.layers]
        cells = [layer for layer in self.layers if isinstance(layer, mindspore.nn.Cell)]
        self.parameters = [parameter for cell in cells for parameter in cell.get_parameters()]
        for number, (parameter, value) in enumerate(zip(self.parameters, task.parameters, strict=True)):
            parameter.name = f"parameter-{number}"  # the same name in every layer otherwise, which MindSpore refuses
            parameter.set_data(mindspore.Tensor(value.reshape(parameter.shape)))  # Conv1d's has an axis of 1 more

    def steps(self, loss: Callable[[Any, Any], Any], inputs: np.ndarray, labels: np.ndarray) -> Iterator[float]:
        """Trains on one batch after the other; yields the loss before each step."""
        mindspore = self.mindspore

        def forward(batch: Any, target: Any) -> Any:
            for layer in self.layers:
                batch = layer(batch)
            return loss(batch, target)

        step = mindspore.value_and_grad(forward, None, mindspore.ParameterTuple(self.parameters))
        for batch, target in zip(inputs, labels, strict=True):
            value, gradients = step(mindspore.Tensor(batch), mindspore.Tensor(target))
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                mindspore.ops.assign(parameter, parameter - self.rate * gradient)
            yield float(value.asnumpy())

    def weights(self) -> list[np.ndarray]:
        """As they are now, in the order of the task's parameters."""
        return [
            parameter.asnumpy().reshape(shape) for parameter, shape in zip(self.parameters, self.shapes, strict=True)
        ]

    def _layer(self, layer: Layer) -> Callable[[Any], Any]:
        mindspore = self.mindspore
        nn = mindspore.nn
        kind, *size = layer
        if kind == "channels-first":
            return lambda x: x.permute(0, 2, 1)
        if kind == "only":
            return lambda x: x + mindspore.Tensor(blocked(layer, x.shape[1]))
        named = {
            "conv1d": nn.Conv1d, "conv2d": nn.Conv2d, "embedding": nn.Embedding, "flatten": nn.Flatten,
            "linear": nn.Dense, "relu": nn.ReLU,
        }  # fmt: skip
        options = {"pad_mode": "valid", "has_bias": True} if kind.startswith("conv") else {}
        made: Callable[[Any], Any] = named[kind](*size, **options)
        return made
