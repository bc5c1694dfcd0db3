"""The portable loss for oneflow as an implementation of the harness (``oneflow+xent``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation
from xent.adapters.framework import expect_loss, framework
from xent.adapters.text import call
from xent.spec import Arguments, CrossEntropySpec

from . import native
from .native import from_call, version

__all__ = [
    "FRAMEWORK",
    "MODE",
    "NAME",
    "capabilities",
    "evaluate",
    "from_call",
    "from_native",
    "source",
    "to_native",
    "version",
]

NAME = "oneflow"
MODE = "portable"
FRAMEWORK = "oneflow"
capabilities = Capabilities(
    index_dtypes=Entry(("int8", "uint8", "int32", "int64"), "oneflow 0.9.0 has no other integer dtypes (measured)")
)


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as an xent.adapters.oneflow.CrossEntropyLoss, weight in its own dtype."""
    from .portable import CrossEntropyLoss

    weight = spec.weight
    if isinstance(weight, np.ndarray):
        weight = native.tensor(framework("oneflow"), weight)
    return CrossEntropyLoss(weight, spec.ignore_index, spec.reduction, spec.label_smoothing)


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of an xent.adapters.oneflow.CrossEntropyLoss. TypeError for another object."""
    from .portable import CrossEntropyLoss

    expect_loss(loss, CrossEntropyLoss, "xent.adapters.oneflow.CrossEntropyLoss")
    return native.from_call(loss.weight, loss.ignore_index, loss.reduction, loss.label_smoothing)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import oneflow, xent.adapters.oneflow``."""
    return call("xent.adapters.oneflow.CrossEntropyLoss", spec, "oneflow.tensor({data}, dtype=oneflow.{dtype})")


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: bool
) -> Evaluation:
    """The portable loss's value, and the gradient of its sum with respect to input where asked for."""
    return native.run(to_native, spec, input, target, gradient)
