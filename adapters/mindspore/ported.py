"""The portable loss for MindSpore as an implementation of the harness, with native.py's conversions of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from xent import dtypes
from xent.adapters.source import call, with_import
from xent.spec import Arguments, CrossEntropySpec

from .. import Capabilities, Entry, Evaluation
from ..framework import expect_loss, framework
from ..gradients import Asked
from . import native
from .native import FRAMEWORK, NAME, TENSOR, as_tensor, as_weight, device, prepare, run, version
from .native import as_array as as_array  # beside as_tensor, for an adapter that builds on this one

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "device", "evaluate", "from_call", "from_native",
    "prepare", "source", "to_native", "version",
]  # fmt: skip

MODE = "portable"
SCRIPT = with_import(native.SCRIPT, "xent.adapters.mindspore")
_CONSTANT = "the portable loss for MindSpore takes weight for a constant"
capabilities = Capabilities(
    index_gradients=Entry(("input",), _CONSTANT), probability_gradients=Entry(("input", "target"), _CONSTANT)
)


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as the portable loss, weight in its own dtype. Raises SpecError."""
    from .portable import CrossEntropyLoss

    weight = as_tensor(framework(FRAMEWORK), spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    return CrossEntropyLoss(weight, spec.ignore_index, spec.reduction, spec.label_smoothing)


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of the portable loss. TypeError for another object."""
    from .portable import CrossEntropyLoss

    expect_loss(loss, CrossEntropyLoss, "xent.adapters.mindspore.CrossEntropyLoss")
    return CrossEntropySpec(as_weight(loss.weight), loss.ignore_index, loss.reduction, loss.label_smoothing)


def from_call(
    weight: Any = None,
    ignore_index: Any = -100,
    reduction: Any = "mean",
    label_smoothing: Any = 0.0,
    *,
    validate: bool = True,
) -> CrossEntropySpec:
    """The spec behind ``CrossEntropyLoss(...)`` as written; weight is a tensor or a NumPy array."""
    return CrossEntropySpec(as_weight(weight), ignore_index, reduction, label_smoothing)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import mindspore, xent.adapters.mindspore``."""
    return call("xent.adapters.mindspore.CrossEntropyLoss", spec, TENSOR)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """The portable value, and the gradients of its sum that are asked for. Nothing is cast."""
    return run(to_native, spec, input, target, gradient)
