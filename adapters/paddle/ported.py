"""The portable loss for Paddle as an implementation of the harness (``paddle+xent``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation
from xent.adapters.framework import expect_loss, framework
from xent.adapters.gradients import Asked
from xent.adapters.source import call, with_import
from xent.spec import Arguments, CrossEntropySpec

from . import native
from .native import FRAMEWORK, NAME, RANKS, TENSOR, as_tensor, as_weight, device, run, version

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "device", "evaluate", "from_call",
    "from_native", "source", "to_native", "version",
]  # fmt: skip

MODE = "portable"
SCRIPT = with_import(native.SCRIPT, "xent.adapters.paddle")
capabilities = Capabilities(
    input_ranks=Entry(tuple(range(1, RANKS + 1)), "a tensor of paddle 3.3.1 has at most 9 dimensions (measured)"),
    index_dtypes=Entry(
        ("int8", "uint8", "int16", "int32", "int64"), "paddle 3.3.1 has no other integer dtypes (measured)"
    ),
)


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as the portable loss, weight in its own dtype. Raises SpecError."""
    from .portable import CrossEntropyLoss

    weight = as_tensor(framework(FRAMEWORK), spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    return CrossEntropyLoss(weight, spec.ignore_index, spec.reduction, spec.label_smoothing)


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of the portable loss. TypeError for another object."""
    from .portable import CrossEntropyLoss

    expect_loss(loss, CrossEntropyLoss, "xent.adapters.paddle.CrossEntropyLoss")
    return CrossEntropySpec(as_weight(loss.weight), loss.ignore_index, loss.reduction, loss.label_smoothing)


def from_call(
    weight: Any = None,
    ignore_index: Any = -100,
    reduction: Any = "mean",
    label_smoothing: Any = 0.0,
    *,
    validate: bool = True,
) -> CrossEntropySpec:
    """The spec behind ``CrossEntropyLoss(...)`` as written; weight is a Paddle tensor or a NumPy array."""
    return CrossEntropySpec(as_weight(weight), ignore_index, reduction, label_smoothing)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import paddle, xent.adapters.paddle``."""
    return call("xent.adapters.paddle.CrossEntropyLoss", spec, TENSOR)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """The portable value, and the gradients of its sum that are asked for. Nothing is cast."""
    return run(to_native, spec, input, target, gradient)
