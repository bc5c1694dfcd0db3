"""Trains a linear model for a few steps with the portable loss of whatever xent is installed: FRAMEWORK as argument.

Prints the losses, and where xent and NumPy came from, as JSON in the last line.
"""

import importlib
import json
import sys

import numpy as np

import xent

STEPS, RATE = 12, 0.5


def main(name):
    framework = importlib.import_module(name)
    loss = importlib.import_module(f"xent.adapters.{name}").CrossEntropyLoss(ignore_index=255, label_smoothing=0.05)
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 4, size=64)
    inputs = (rng.normal(size=(64, 8)) * 0.3 + np.eye(4, 8)[labels] * 2).astype(np.float32)
    labels[::7] = 255
    losses = list((mindspore_steps if name == "mindspore" else torch_steps)(framework, loss, inputs, labels))
    print()
    print(json.dumps({"losses": losses, "xent": xent.__file__, "numpy": np.__file__}))


def torch_steps(framework, loss, inputs, labels):
    """torch's way, which is oneflow's too."""
    inputs, labels = framework.tensor(inputs), framework.tensor(labels)
    model = framework.nn.Linear(8, 4)
    optimizer = framework.optim.SGD(model.parameters(), lr=RATE)
    for _ in range(STEPS):
        value = loss(model(inputs), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        yield float(value.detach().numpy())


def mindspore_steps(mindspore, loss, inputs, labels):
    inputs, labels = mindspore.Tensor(inputs), mindspore.Tensor(labels.astype(np.int32))
    model = mindspore.nn.Dense(8, 4)
    optimizer = mindspore.nn.SGD(model.trainable_params(), RATE)
    step = mindspore.value_and_grad(lambda batch, target: loss(model(batch), target), None, optimizer.parameters)
    for _ in range(STEPS):
        value, gradients = step(inputs, labels)
        optimizer(gradients)
        yield float(value.asnumpy())


main(sys.argv[1])
