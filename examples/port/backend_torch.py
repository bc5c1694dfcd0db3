"""The tasks in torch's words, which are oneflow's too: both are trained by this file, each in its own interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from task import Layer, Task, blocked


class Model:
    """A task's layers as the framework's own, with the task's initial weights."""

    def __init__(self, torch: Any, task: Task) -> None:
        self.torch = torch
        self.rate = task.rate
        self.layers: list[Callable[[Any], Any]] = [self._layer(layer) for layer in task.layers]
        modules = [layer for layer in self.layers if isinstance(layer, torch.nn.Module)]
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        with torch.no_grad():
            for parameter, value in zip(self.parameters, task.parameters, strict=True):
                parameter.copy_(torch.tensor(value))

    def steps(self, loss: Callable[[Any, Any], Any], inputs: np.ndarray, labels: np.ndarray) -> Iterator[float]:
        """Trains on one batch after the other; yields the loss before each step."""
        torch = self.torch
        for batch, target in zip(inputs, labels, strict=True):
            value = loss(self._logits(torch.tensor(batch)), torch.tensor(target))
            gradients = torch.autograd.grad(value, self.parameters)
            with torch.no_grad():
                for parameter, gradient in zip(self.parameters, gradients, strict=True):
                    parameter -= self.rate * gradient
            yield float(value.detach().numpy())

    def weights(self) -> list[np.ndarray]:
        """As they are now, in the order of the task's parameters."""
        return [parameter.detach().numpy().copy() for parameter in self.parameters]

    def _logits(self, batch: Any) -> Any:
        for layer in self.layers:
            batch = layer(batch)
        return batch

    def _layer(self, layer: Layer) -> Callable[[Any], Any]:
        nn = self.torch.nn
        kind, *size = layer
        if kind == "channels-first":
            return lambda x: x.permute(0, 2, 1)
        if kind == "only":
            return lambda x: x + self.torch.tensor(blocked(layer, x.shape[1]))
        named = {
            "conv1d": nn.Conv1d, "conv2d": nn.Conv2d, "embedding": nn.Embedding, "flatten": nn.Flatten,
            "linear": nn.Linear, "relu": nn.ReLU,
        }  # fmt: skip
        made: Callable[[Any], Any] = named[kind](*size)
        return made
