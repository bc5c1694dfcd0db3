"""The reference as an implementation: cross entropy for a program that has NumPy and no framework.

Peculiarities: none. It is the specification (rules S1 to S14), so nothing narrows it, and the loss object, unlike the
frameworks', refuses bad arguments when it is made and bad inputs when it is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Evaluation, phase
from xent.adapters.framework import expect_loss
from xent.adapters.gradients import Asked, asked, besides_input
from xent.adapters.source import call
from xent.spec import Arguments, CrossEntropySpec

NAME = "numpy"
FRAMEWORK = "numpy"
capabilities = Capabilities()


class CrossEntropyLoss:
    """The loss as a callable: ``CrossEntropyLoss(ignore_index=255)(input, target)``, arrays in and out.

    Args are those of CrossEntropySpec, which raises SpecError for what it refuses; `spec` holds them.
    """

    def __init__(
        self, weight: Any = None, ignore_index: Any = -100, reduction: Any = "mean", label_smoothing: Any = 0.0
    ) -> None:
        self.spec = CrossEntropySpec(weight, ignore_index, reduction, label_smoothing)

    def __call__(self, input: dtypes.Array, target: dtypes.Array) -> dtypes.Array:
        """The loss of input (C), (N, C) or (N, C, d1, ..., dK), in its dtype; SpecError for what the spec refuses."""
        from xent import reference

        return reference.value(self.spec, input, target)

    def __repr__(self) -> str:
        return source(self.spec)


def version() -> str:
    """NumPy's version."""
    return str(np.__version__)


def to_native(spec: CrossEntropySpec | Arguments) -> CrossEntropyLoss:
    """The spec as a callable. Raises SpecError for `Arguments` that the spec refuses."""
    return CrossEntropyLoss(spec.weight, spec.ignore_index, spec.reduction, spec.label_smoothing)


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of a `CrossEntropyLoss` of this module. Raises TypeError for another object."""
    expect_loss(loss, CrossEntropyLoss, "xent.adapters.numpy.CrossEntropyLoss")
    spec: CrossEntropySpec = loss.spec
    return spec


def from_call(
    weight: Any = None, ignore_index: Any = -100, reduction: Any = "mean", label_smoothing: Any = 0.0
) -> CrossEntropySpec:
    """The spec behind ``CrossEntropyLoss(...)`` as written; weight is a NumPy array."""
    return CrossEntropySpec(weight, ignore_index, reduction, label_smoothing)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import numpy`` and ``import xent.adapters.numpy`` only."""
    bfloat16 = spec.weight is not None and dtypes.name(spec.weight) == "bfloat16"
    array = 'xent.dtypes.from_float64({data}, "{dtype}")' if bfloat16 else "numpy.array({data}, dtype=numpy.{dtype})"
    return call("xent.adapters.numpy.CrossEntropyLoss", spec, array)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """The reference's value, and the gradients of its sum that are asked for."""
    from xent import reference

    names = asked(gradient)
    with phase("construct"):
        loss = to_native(spec)
    with phase("forward"):
        value = loss(input, target)
    if not names:
        return Evaluation(value)
    with phase("backward"):
        of = {"target": reference.gradient_target, "weight": reference.gradient_weight}
        slope = reference.gradient(loss.spec, input, target) if "input" in names else None
        others = {name: of[name](loss.spec, input, target) for name in besides_input(names)}
    return Evaluation(value, slope, gradients=others or None)
