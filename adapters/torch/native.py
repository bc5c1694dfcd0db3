"""torch.nn.CrossEntropyLoss.

Documents: torch-2.8 and torch-1.8. Peculiarities, each with its source:
- The positional order is weight, size_average, ignore_index, reduce, reduction, label_smoothing
  (torch-2.8/arguments/signature): no other framework has the two deprecated arguments, so a second positional argument
  means something else everywhere else. They override reduction (torch-2.8/reduction/override).
- Class indices are int64 (torch-2.8/target-indices/dtype). "float" for class probabilities
  (torch-2.8/target-probabilities/dtype) is read as any floating dtype: no narrowing.
- The constructor checks nothing. The call refuses label_smoothing 1.1 and an unknown reduction, and takes -0.1, nan and
  "elementwise_mean" (measured, 2.13).
- label_smoothing and class probabilities came with 1.10, unbatched input with 1.11. A spec without smoothing constructs
  on any version; with it, an older torch raises its own TypeError, which names the argument (measured, 1.8.1).
- A float64 weight or target with float32 class probabilities gives a float64 result (measured, 2.13).
- With class indices a weight that requires a gradient is refused at the call; with class probabilities it gets its
  gradient, and so do they (measured, 2.13.0).
- torch has bfloat16 and NumPy has not: its bits travel as int16, which is exact.
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

NAME = "torch"
FRAMEWORK = "torch"
TENSOR = "torch.tensor({data}, dtype=torch.{dtype})"
SCRIPT = """\
import torch

input = {input}.requires_grad_()
target = {target}
loss = {loss}(input, target)
print(loss.tolist())
loss.sum().backward()
print(input.grad.tolist())
{name} = {tensor}.requires_grad_()
{again}(input.detach(), target).sum().backward()
print({name}.grad.tolist())
"""
capabilities = Capabilities(
    index_dtypes=Entry(("int64",), "torch-2.8/target-indices/dtype"),
    index_gradients=Entry(("input",), "torch 2.13.0 refuses a weight that requires a gradient (measured)"),
)


def version() -> str:
    """torch's version without its build: ``"2.13.0"`` for 2.13.0+cpu."""
    return str(framework("torch").__version__).split("+")[0]


def to_native(spec: CrossEntropySpec | Arguments) -> Any:
    """The spec as a torch.nn.CrossEntropyLoss, weight in its own dtype. torch's own exceptions go through."""
    torch = framework("torch")
    weight = as_tensor(torch, spec.weight) if isinstance(spec.weight, np.ndarray) else spec.weight
    smoothing = {} if spec.label_smoothing == 0 else {"label_smoothing": spec.label_smoothing}
    return torch.nn.CrossEntropyLoss(
        weight=weight, ignore_index=spec.ignore_index, reduction=spec.reduction, **smoothing
    )


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of torch.nn.CrossEntropyLoss. TypeError for another object, SpecError for what the spec refuses."""
    expect_loss(loss, framework("torch").nn.CrossEntropyLoss, "torch.nn.CrossEntropyLoss")
    return CrossEntropySpec(
        weight=as_weight(loss.weight),
        ignore_index=loss.ignore_index,
        reduction=loss.reduction,
        label_smoothing=getattr(loss, "label_smoothing", 0.0),  # absent before 1.10
    )


def from_call(
    weight: Any = None,
    size_average: Any = None,
    ignore_index: Any = -100,
    reduce: Any = None,
    reduction: Any = "mean",
    label_smoothing: Any = 0.0,
) -> CrossEntropySpec:
    """The spec behind ``torch.nn.CrossEntropyLoss(...)`` as written; weight is a torch tensor or a NumPy array."""
    return CrossEntropySpec.from_legacy(
        size_average=size_average,
        reduce=reduce,
        weight=as_weight(weight),
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def source(spec: CrossEntropySpec | Arguments) -> str:
    """The constructor call as text that needs ``import torch`` only."""
    return call("torch.nn.CrossEntropyLoss", spec, TENSOR)


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """torch's value, and the gradients of its sum that are asked for. Nothing is cast."""
    return run(to_native, spec, input, target, gradient)


def run(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    gradient: Asked,
) -> Evaluation:
    """What the loss that `make` gives for the spec returns, and the gradients asked for."""
    torch, names = framework("torch"), asked(gradient)
    with phase("construct"):
        loss = make(spec)
    with phase("forward"):
        logits = as_tensor(torch, input).requires_grad_("input" in names)
        result = loss(logits, as_tensor(torch, target))
        value = as_array(torch, result)
    if not names:
        return Evaluation(value)
    slope, others = None, besides_input(names)
    with phase("backward"):
        if "input" in names:
            slope = as_array(torch, *torch.autograd.grad(result, logits, torch.ones_like(result)))
        return Evaluation(value, slope, gradients=_others(make, spec, input, target, others) if others else None)


def _others(
    make: Callable[[Any], Any],
    spec: CrossEntropySpec | Arguments,
    input: dtypes.Array,
    target: dtypes.Array,
    names: Tuple[str, ...],
) -> Dict[str, dtypes.Array]:
    torch = framework("torch")
    given = {"target": as_tensor(torch, target), "weight": spec.weight}
    if isinstance(spec.weight, np.ndarray):
        given["weight"] = as_tensor(torch, spec.weight)
    wanted = [given[name].requires_grad_() for name in names]
    result = make(with_weight(spec, given["weight"]))(as_tensor(torch, input), given["target"])
    slopes = torch.autograd.grad(result, wanted, torch.ones_like(result))
    return {name: as_array(torch, slopes[i]) for i, name in enumerate(names)}


def as_tensor(torch: Any, array: dtypes.Array) -> Any:
    """A copy as a tensor of the same dtype and memory order. torch's TypeError goes through for a dtype it lacks."""
    base, axes = layout(array)
    if dtypes.name(base) == "bfloat16":
        tensor = torch.tensor(dtypes.bits(base).view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.tensor(base)
    return tensor.permute(axes)


def as_array(torch: Any, tensor: Any) -> dtypes.Array:
    """The tensor on the host: its dtype and shape, bfloat16 too."""
    host = tensor.detach().cpu()
    if host.dtype == torch.bfloat16:
        return dtypes.from_bits(host.contiguous().view(torch.int16).numpy().view(np.uint16), "bfloat16")
    return np.asarray(host.numpy())


def as_weight(weight: Any) -> Any:
    """A torch tensor as an array; anything else as it is, for CrossEntropySpec to judge."""
    return as_array(framework("torch"), weight) if framework_of(weight) == "torch" else weight
