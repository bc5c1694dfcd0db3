"""mindspore.mint.nn.CrossEntropyLoss, eager (PyNative).

Document: mint (mindspore-mint-CrossEntropyLoss). Peculiarities, each with its source:
- The document lists Ascend alone (mint/platforms/list). On a CPU some leaf kernels are missing: there the loss's own
  Python code runs on stand-ins for these (standin.py), and every evaluation says so.
- On Ascend nothing is substituted. NEVER RUN there: no such device was at hand. What could be tested without one is
  that for the device "ascend" no stand-in is in place, so that MindSpore's own "kernel unregistered" comes through.
- bfloat16 is for Atlas A2 training series products only (mint/input/bfloat16-device), so the entries below leave it
  out; on a CPU MindSpore has no bfloat16 kernels, and its own exception goes through.
- Of rank and label smoothing the document excludes nothing that the specification allows.
- With class indices a weight that is trained gets no gradient, without a word: NLLLoss gives it 0, and label smoothing
  adds its own part alone (measured, 2.10.0). With class probabilities it gets the right one.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ContextManager, List

import numpy as np

from xent import dtypes
from xent.adapters.source import call
from xent.spec import Arguments, CrossEntropySpec

from .. import Capabilities, Entry, Evaluation
from ..framework import expect_loss, framework, on_use
from ..gradients import Asked
from ..mindspore import TENSOR, as_tensor, as_weight, device, prepare, version
from ..mindspore import as_array as as_array  # beside as_tensor, for whoever converts what this adapter takes
from ..mindspore.native import run
from .standin import stand_ins

if TYPE_CHECKING:
    from .portable import CrossEntropyLoss, LinearCrossEntropyLoss, cross_entropy, linear_cross_entropy

__all__ = [
    "FRAMEWORK", "NAME", "TENSOR", "CrossEntropyLoss", "LinearCrossEntropyLoss", "capabilities", "cross_entropy",
    "device", "evaluate", "from_call", "from_native", "linear_cross_entropy", "prepare", "source", "to_native",
    "version",
]  # fmt: skip

NAME = "mint"
FRAMEWORK = "mindspore"
capabilities = Capabilities(
    input_dtypes=Entry(("float16", "float32"), "mint/input/dtype"),
    index_dtypes=Entry(("int32", "int64"), "mint/target-indices/dtype"),
    probability_dtypes=Entry(("float16", "float32"), "mint/target-probabilities/dtype"),
    weight_dtypes=Entry(("float16", "float32"), "mint/weight/dtype"),
    probability_ignore_index=Entry(("negative",), "mint/ignore-index/negative-with-probabilities"),
    index_gradients=Entry(("input",), "the gradient of MindSpore 2.10.0's NLLLoss for weight is 0 (measured)"),
)


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as a mint.nn.CrossEntropyLoss, weight in its own dtype. mint checks no argument before the call."""
    mindspore = framework("mindspore")
    weight = as_tensor(mindspore, spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    return mindspore.mint.nn.CrossEntropyLoss(
        weight=weight,
        ignore_index=spec.ignore_index,
        reduction=spec.reduction,
        label_smoothing=spec.label_smoothing,
    )


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of a mint.nn.CrossEntropyLoss. TypeError for another object, SpecError for what the spec refuses."""
    expect_loss(loss, framework("mindspore").mint.nn.CrossEntropyLoss, "mindspore.mint.nn.CrossEntropyLoss")
    return CrossEntropySpec(
        weight=as_weight(loss.weight),
        ignore_index=loss.ignore_index,
        reduction=loss.reduction,
        label_smoothing=loss.label_smoothing,
    )


def from_call(
    weight: Any = None, ignore_index: Any = -100, reduction: Any = "mean", label_smoothing: Any = 0.0
) -> CrossEntropySpec:
    """The spec behind ``mint.nn.CrossEntropyLoss(...)`` as written; weight is a tensor or a NumPy array."""
    return CrossEntropySpec(as_weight(weight), ignore_index, reduction, label_smoothing)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import mindspore`` only."""
    return call("mindspore.mint.nn.CrossEntropyLoss", spec, TENSOR)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """mint's value, and the gradients of its sum that are asked for. Nothing is cast.

    Raises:
        Unavailable: on a CPU, for a class index that the missing kernel promises nothing about.
        Exception: whatever MindSpore raises, or the stand-in for a kernel whose own checks refuse the parameters.
    """
    return evaluate_on(device(), spec, input, target, gradient=gradient)


def evaluate_on(
    device: str, spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """`evaluate` for that device: ``"cpu"`` puts the stand-ins in place, any other runs the loss as it is."""
    leaves: ContextManager[List[str]] = stand_ins() if device == "cpu" else contextlib.nullcontext([])
    with leaves as called:
        found = run(to_native, spec, input, target, gradient)
    return replace(found, kernels="stand-in" if called else "native")


__getattr__ = on_use(
    __name__,
    CrossEntropyLoss="portable",
    LinearCrossEntropyLoss="portable",
    cross_entropy="portable",
    linear_cross_entropy="portable",
)
