"""What is trained, in no framework's words: layers as data, initial weights, batches, the loss's spec. NumPy only.

A layer is ``[kind, *numbers]``; its parameters have torch's shapes, weight before bias:

    ["conv2d", in, out, k]   (N, in, H, W) -> (N, out, H-k+1, W-k+1)     weight (out, in, k, k), bias (out)
    ["conv1d", in, out, k]   (N, in, T) -> (N, out, T-k+1)               weight (out, in, k), bias (out)
    ["linear", in, out]      (N, in) -> (N, out)                         weight (out, in), bias (out)
    ["embedding", n, size]   indices (N, T) -> (N, T, size)              weight (n, size)
    ["relu"], ["flatten"]    elementwise; (N, ...) -> (N, product)
    ["channels-first"]       (N, T, size) -> (N, size, T)
    ["only", n]              (N, C, T): -inf for the classes from n on, the ones that fill C up
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Layer = list[Any]


class Task(NamedTuple):
    """One model with everything that its training depends on.

    Attributes:
        name: for the results.
        layers: as above.
        parameters: the initial values, float32, in the layers' order.
        inputs: (steps, N, ...), float32 or, for an embedding, int32.
        labels: (steps, N) or (steps, N, T) class indices, int64.
        spec: the loss, `CrossEntropySpec.to_dict()`.
        rate: of plain gradient descent.
    """

    name: str
    layers: list[Layer]
    parameters: list[np.ndarray]
    inputs: np.ndarray
    labels: np.ndarray
    spec: dict[str, Any]
    rate: float


def shapes(layer: Layer) -> list[tuple[int, ...]]:
    """The shapes of a layer's parameters."""
    kind, *size = layer
    if kind in ("conv1d", "conv2d"):
        inputs, outputs, width = size
        return [(outputs, inputs, *[width] * (2 if kind == "conv2d" else 1)), (outputs,)]
    if kind == "linear":
        return [(size[1], size[0]), (size[1],)]
    return [(size[0], size[1])] if kind == "embedding" else []


def blocked(layer: Layer, classes: int) -> np.ndarray:
    """What ["only", n] adds to (N, C, T) logits: shape (1, C, 1)."""
    return np.where(np.arange(classes) < layer[1], 0, -np.inf).astype(np.float32).reshape(1, -1, 1)


def write(path: Path, tasks: Sequence[Task]) -> None:
    """One npz file: the arrays as TASK/parameters/0 and so on, the rest as JSON under "tasks"."""
    arrays: dict[str, np.ndarray] = {}
    notes = []
    for task in tasks:
        arrays.update({f"{task.name}/parameters/{i}": array for i, array in enumerate(task.parameters)})
        arrays.update({f"{task.name}/inputs": task.inputs, f"{task.name}/labels": task.labels})
        notes.append({"name": task.name, "layers": task.layers, "spec": task.spec, "rate": task.rate})
    np.savez(path, tasks=np.array(json.dumps(notes)), **arrays)


def read(path: Path) -> list[Task]:
    """What `write` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return [
            Task(
                parameters=[
                    arrays[f"{note['name']}/parameters/{i}"] for i in range(sum(len(shapes(x)) for x in note["layers"]))
                ],
                inputs=arrays[f"{note['name']}/inputs"],
                labels=arrays[f"{note['name']}/labels"],
                **note,
            )
            for note in json.loads(str(arrays["tasks"]))
        ]
