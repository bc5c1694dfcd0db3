"""oneflow.nn.CrossEntropyLoss.

Document: oneflow. Peculiarities, each with its source:
- Input has a batch: (N, C) or (N, C, d1, ..., dK) (oneflow/input/shape). Unbatched input ends the process (measured).
- The document leaves every dtype open. On CPU no float16 or bfloat16 kernel exists, and class indices of 8 bits are
  refused (measured, 0.9.0): both as oneflow's own exceptions.
- The constructor checks label_smoothing's range (nan passes) and asserts reduction without a message (measured, 0.9.0).
- A class index outside [0, C) contributes nothing, like an ignored one, without an error (measured, 0.9.0).
- NumPy has no bfloat16 and oneflow takes none from it: float32 holds every bfloat16, and the cast of such a value back
  is exact, so the tensor that the loss receives is the array given (measured: every pattern but the nans' payloads).
- With class indices a weight that requires a gradient passes the call and raises in the backward pass; with class
  probabilities it gets its gradient, and so do they (measured, 0.9.0).
- ``oneflow.tensor`` reads a big-endian array as if it were little-endian, silently (measured, 0.9.0).
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation, framework_of, layout, phase
from xent.adapters.framework import expect_loss, framework
from xent.adapters.gradients import Asked, asked, besides_input, with_weight
from xent.adapters.source import call
from xent.spec import Arguments, CrossEntropySpec

NAME = "oneflow"
FRAMEWORK = "oneflow"
FORKS = True  # a fork after the import runs eager operators; nn.Graph hangs in one (measured, 0.9.0)
TENSOR = "oneflow.tensor({data}, dtype=oneflow.{dtype})"
SCRIPT = """\
import oneflow

input = {input}.requires_grad_()
target = {target}
loss = {loss}(input, target)
print(loss.numpy().tolist())
loss.sum().backward()
print(input.grad.numpy().tolist())
{name} = {tensor}.requires_grad_()
{again}(input.detach(), target).sum().backward()
print({name}.grad.numpy().tolist())
"""
capabilities = Capabilities(
    input_ranks=Entry(tuple(range(2, 65)), "oneflow/input/shape"),  # NumPy holds rank 64
    index_gradients=Entry(("input",), "oneflow 0.9.0 raises in the backward pass of its nll kernel (measured)"),
)


def version() -> str:
    """oneflow's version, e.g. ``"0.9.0"``."""
    return str(framework("oneflow").__version__).split("+")[0]


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as an oneflow.nn.CrossEntropyLoss, weight in its own dtype. oneflow's own exceptions go through."""
    oneflow = framework("oneflow")
    weight = as_tensor(oneflow, spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    return oneflow.nn.CrossEntropyLoss(
        weight=weight,
        ignore_index=spec.ignore_index,
        reduction=spec.reduction,
        label_smoothing=spec.label_smoothing,
    )


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of oneflow.nn.CrossEntropyLoss. TypeError for another object, SpecError for what the spec refuses."""
    expect_loss(loss, framework("oneflow").nn.CrossEntropyLoss, "oneflow.nn.CrossEntropyLoss")
    return CrossEntropySpec(
        weight=as_weight(loss.weight),
        ignore_index=loss.ignore_index,
        reduction=loss.reduction,
        label_smoothing=loss.label_smoothing,
    )


def from_call(
    weight: Any = None, ignore_index: Any = -100, reduction: Any = "mean", label_smoothing: Any = 0.0
) -> CrossEntropySpec:
    """The spec behind ``oneflow.nn.CrossEntropyLoss(...)`` as written; weight is an oneflow tensor or a NumPy array."""
    return CrossEntropySpec(as_weight(weight), ignore_index, reduction, label_smoothing)


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import oneflow`` only."""
    return call("oneflow.nn.CrossEntropyLoss", spec, TENSOR)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """oneflow's value, and the gradients of its sum that are asked for. Nothing is cast."""
    return run(to_native, spec, input, target, gradient)


def run(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    gradient: Asked,
) -> Evaluation:
    """What the loss that `make` gives for the spec returns, and the gradients asked for."""
    oneflow, names = framework("oneflow"), asked(gradient)
    with phase("construct"):
        loss = make(spec)
    with phase("forward"):
        logits = as_tensor(oneflow, input).requires_grad_("input" in names)
        result = loss(logits, as_tensor(oneflow, target))
        value = as_array(oneflow, result)
    if not names:
        return Evaluation(value)
    slope, others = None, besides_input(names)
    with phase("backward"):
        if "input" in names:
            slope = as_array(oneflow, *oneflow.autograd.grad(result, logits, oneflow.ones_like(result)))
        return Evaluation(value, slope, gradients=_others(make, spec, input, target, others) if others else None)


def _others(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    names: Tuple[str, ...],
) -> Dict[str, dtypes.Array]:
    oneflow = framework("oneflow")
    given = {"target": as_tensor(oneflow, target), "weight": spec.weight}
    if isinstance(spec.weight, np.ndarray):
        given["weight"] = as_tensor(oneflow, spec.weight)
    wanted = [given[name].requires_grad_() for name in names]
    result = make(with_weight(spec, given["weight"]))(as_tensor(oneflow, input), given["target"])
    slopes = oneflow.autograd.grad(result, wanted, oneflow.ones_like(result))
    return {name: as_array(oneflow, slopes[i]) for i, name in enumerate(names)}


def as_tensor(oneflow: Any, array: dtypes.Array) -> Any:
    """A copy as a tensor of the same dtype and memory order. Raises TypeError for a dtype that oneflow lacks."""
    base, axes = layout(array)
    name = dtypes.name(base)
    if not hasattr(oneflow, name):  # oneflow's own error for these names neither the dtype nor the array
        raise TypeError(f"oneflow has no dtype {name}")
    if name == "bfloat16":
        tensor = oneflow.tensor(dtypes.to_float64(base).astype(np.float32)).to(oneflow.bfloat16)
    else:
        tensor = oneflow.tensor(np.asarray(base, dtype=base.dtype.newbyteorder("=")))
    return tensor.permute(*axes)


def as_array(oneflow: Any, result: Any) -> dtypes.Array:
    """A tensor as an array of the same dtype."""
    host = result.detach().cpu()
    if host.dtype == oneflow.bfloat16:
        return dtypes.from_float64(host.to(oneflow.float32).numpy(), "bfloat16")
    return np.asarray(host.numpy())


def as_weight(weight: Any) -> Any:
    """An oneflow tensor as an array; anything else as it is, for CrossEntropySpec to judge."""
    return as_array(framework("oneflow"), weight) if framework_of(weight) == "oneflow" else weight
