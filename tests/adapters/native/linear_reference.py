"""Writes what torch's own torch.nn.LinearCrossEntropyLoss is and does into the folder argv[1], for check_linear.py.

``torch.json``: the signatures of the function and the class. ``CASE.npz`` for each of CASES: the state_dict, input
and target, loss, gradients, and the state_dict after one step of SGD. ``CASE.pt``: the state_dict, by torch.save.
"""

from __future__ import annotations

import inspect
import json
import pathlib
import sys

import numpy as np
import torch

CASES = {
    "plain": {},
    "biased": {"bias": True, "ignore_index": 2, "reduction": "sum"},
    "all": {"bias": True, "weight": torch.tensor([0.5, 2.0, 1.0, 0.25, 1.5]), "label_smoothing": 0.1},
}
RATE = 0.5


def signature(function):
    """[[name, kind, default], ...]"""
    parameters = inspect.signature(function).parameters.values()
    return [[one.name, one.kind.name, None if one.default is one.empty else one.default] for one in parameters]


def main(folder):
    said = {
        "function": signature(torch.nn.functional.linear_cross_entropy),
        "class": signature(torch.nn.LinearCrossEntropyLoss),
    }
    (folder / "torch.json").write_text(json.dumps(said))
    generator = torch.Generator().manual_seed(5)
    input = torch.randn(6, 4, generator=generator)
    target = torch.tensor([0, 2, 4, 1, 3, 2])
    for name, arguments in CASES.items():
        torch.manual_seed(7)
        loss = torch.nn.LinearCrossEntropyLoss(4, 5, **arguments)
        torch.save(loss.state_dict(), folder / f"{name}.pt")
        found = {f"state {key}": value.numpy().copy() for key, value in loss.state_dict().items()}
        leaf = input.clone().requires_grad_()
        value = loss(leaf, target)
        value.backward()
        found.update(input=input.numpy(), target=target.numpy(), value=value.detach().numpy(), slope=leaf.grad.numpy())
        found.update({f"slope {key}": value.grad.numpy().copy() for key, value in loss.named_parameters()})
        torch.optim.SGD(loss.parameters(), RATE).step()
        found.update({f"after {key}": value.numpy() for key, value in loss.state_dict().items()})
        np.savez(folder / f"{name}.npz", **found)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
