"""The portable loss for torch as an implementation of the harness, with native.py's conversions of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Evaluation
from xent.adapters.framework import expect_loss, framework
from xent.adapters.gradients import Asked
from xent.adapters.source import call, with_import
from xent.spec import Arguments, CrossEntropySpec

from . import native
from .native import FRAMEWORK, NAME, TENSOR, as_tensor, as_weight, run, version
from .native import as_array as as_array  # beside as_tensor, for an adapter that builds on this one

__all__ = [
    "FRAMEWORK", "MODE", "NAME", "SCRIPT", "TENSOR", "capabilities", "evaluate", "from_call", "from_native", "source",
    "to_native", "version",
]  # fmt: skip

MODE = "portable"
SCRIPT = with_import(native.SCRIPT, "xent.adapters.torch")
capabilities = Capabilities()


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as the portable loss, weight in its own dtype. Raises SpecError."""
    from .portable import CrossEntropyLoss

    weight = as_tensor(framework(FRAMEWORK), spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    return CrossEntropyLoss(weight, spec.ignore_index, spec.reduction, spec.label_smoothing)


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of the portable loss. TypeError for another object."""
    from .portable import CrossEntropyLoss

    expect_loss(loss, CrossEntropyLoss, "xent.adapters.torch.CrossEntropyLoss")
    return CrossEntropySpec(as_weight(loss.weight), loss.ignore_index, loss.reduction, loss.label_smoothing)


def from_call(
    weight: Any = None,
    ignore_index: Any = -100,
    reduction: Any = "mean",
    label_smoothing: Any = 0.0,
    *,
    validate: bool = True,
    size_average: Any = None,
    reduce: Any = None,
) -> CrossEntropySpec:
    """The spec behind ``CrossEntropyLoss(...)`` as written; weight is a tensor or a NumPy array."""
    return CrossEntropySpec.from_legacy(
        size_average=size_average,
        reduce=reduce,
        weight=as_weight(weight),
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import torch, xent.adapters.torch``."""
    return call("xent.adapters.torch.CrossEntropyLoss", spec, TENSOR)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """The portable value, and the gradients of its sum that are asked for. Nothing is cast."""
    return run(to_native, spec, input, target, gradient)
