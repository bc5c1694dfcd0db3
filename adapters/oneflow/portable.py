"""The portable loss for oneflow: the specification's semantics by oneflow's own operators, eager and in nn.Graph.

- float16 and bfloat16 are computed in float32 and rounded once.
- Class indices are looked at by default, which waits for the device. Inside nn.Graph nothing can be looked at: there,
  and with ``validate=False``, a row whose class index is out of range comes out as nan, value and gradient.
- Differentiable with respect to input, small calls (`composed`) twice, others once: the gradient's own gradient is not
  defined there.
- What ends oneflow's process or is ignored by its kernels (a weight of the wrong length, targets of the wrong shape, an
  empty batch) is refused or answered before a kernel runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Tuple

import numpy as np

from xent.adapters.framework import framework
from xent.adapters.portable import checks, docs
from xent.spec import CrossEntropySpec

from .composed import SMALL, composed
from .fused import LEAST_CLASSES, LogSoftmax, Softmax, attempt
from .labels import in_range, labels
from .layouts import Planes, Rows
from .problem import Kernel, Problem
from .shifted import Shifted

flow = framework("oneflow")
ops = flow._C
_apply = flow.autograd.Function.__base__.apply  # (name, forward, backward, *inputs): functions that know this one call


class CrossEntropyLoss(flow.nn.Module):  # type: ignore[misc, name-defined]  # oneflow has no types
    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        validate: bool = True,
    ) -> None:
        super().__init__()
        spec = checks.arguments(ignore_index, reduction, label_smoothing)
        check_weight(weight)
        self.register_buffer("weight", weight)
        self.ignore_index = spec.ignore_index
        self.reduction = spec.reduction
        self.label_smoothing = spec.label_smoothing
        self.validate = validate

    def forward(self, input: Any, target: Any) -> Any:
        """The loss of these logits and this target."""
        spec = checks.arguments(self.ignore_index, self.reduction, self.label_smoothing)
        return loss_of(input, target, self.weight, spec, self.validate)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    validate: bool = True,
) -> Any:
    spec = checks.arguments(ignore_index, reduction, label_smoothing)
    if validate:
        check_weight(weight)
    elif weight is not None:
        expect_tensor("weight", weight)
    return loss_of(input, target, weight, spec, validate)


docs.describe(
    CrossEntropyLoss,
    cross_entropy,
    "Differentiable with respect to input; the gradient has a gradient of its own for small inputs alone.",
    "The module's weight is a buffer.",
    "Inside nn.Graph no value can be looked at: there, and without `validate`, a row whose class index is out of range"
    " comes out as nan, value and gradient.",
    "float16 and bfloat16 are computed in float32 or wider and rounded once.",
)


def check_weight(weight: Any) -> None:
    """Raises the SpecError of S1 for what can't be a weight, whatever the input."""
    if weight is None:
        return
    expect_tensor("weight", weight)
    name = dtype_name(weight.dtype)
    checks.form_of((1, *weight.shape), "float32", (1,), "int64", tuple(weight.shape), name, -100)
    if not weight.is_lazy and not ops.isfinite(weight.to(flow.float32)).all().item():
        checks.refuse_weight(np.asarray(weight.to(flow.float64).numpy()))


def expect_tensor(argument: str, value: Any) -> None:
    if not isinstance(value, flow.Tensor):
        raise checks.kind_error(argument, value, "oneflow.Tensor", "oneflow.tensor")


def based(tensor: Any) -> Any:
    """The tensor; a copy where it starts inside of a larger one: detached and reshaped, oneflow reads such a slice from
    that one's start (measured, 0.9.0)."""
    return tensor if tensor.is_lazy or tensor.storage_offset() == 0 else tensor.clone()


def dtype_name(dtype: Any) -> str:
    """``"float32"``."""
    return str(dtype).split(".")[-1]


def loss_of(input: Any, target: Any, weight: Any, spec: CrossEntropySpec, validate: bool) -> Any:
    expect_tensor("input", input)
    expect_tensor("target", target)
    input, target = based(input), based(target)
    weight = None if weight is None else based(weight)
    shape, dtype = tuple(input.shape), input.dtype
    form = checks.cached_form_of(
        shape,
        dtype_name(dtype),
        tuple(target.shape),
        dtype_name(target.dtype),
        None if weight is None else tuple(weight.shape),
        None if weight is None else dtype_name(weight.dtype),
        spec.ignore_index,
    )
    compute = flow.float64 if dtype == flow.float64 else flow.float32
    x = input if dtype == compute else input.to(compute)
    if 0 in form.places:
        result = _of_nothing(x, spec.reduction)
        return result if dtype == compute else result.to(dtype)
    x = x if len(shape) == 2 else x.reshape(1, *shape) if len(shape) == 1 else x.reshape(shape[0], shape[1], -1)
    layout = Rows(x) if len(shape) < 3 else Planes(x)
    if not x.is_lazy and layout.places * layout.classes <= SMALL:
        places = (*x.shape[:1], *x.shape[2:])
        small = target.reshape(*x.shape) if form.probabilities else target.to(flow.int64).reshape(*places)
        result = composed(x, small.detach(), weight, spec.ignore_index, spec.reduction, spec.label_smoothing)
        if result is not None:
            return (result.reshape(*form.places) if spec.reduction == "none" else result).to(dtype)
    weight = None if weight is None else weight.detach().to(compute)
    probabilities = target.detach().to(compute).reshape(*x.shape).contiguous() if form.probabilities else None
    problem = Problem(x, layout, None, probabilities, weight, spec.reduction, spec.label_smoothing, bool(x.is_lazy))
    column = None if form.probabilities else target.to(flow.int64).reshape(*layout.column)
    result = _differentiable(problem, column, spec.ignore_index, validate, shape)
    if spec.reduction == "none":
        result = result.reshape(*form.places)
    return result if dtype == compute else result.to(dtype)


def _of_nothing(x: Any, reduction: str) -> Any:
    """S12 for an empty batch, with a gradient of input's shape: no kernel meets it."""
    if reduction == "none":
        return ops.reduce_sum(x, [1], False)
    return ops.mul(x.sum(), 0.0) if reduction == "sum" else ops.mul(x.sum(), float("nan"))


def _differentiable(problem: Problem, column: Any, ignore_index: int, validate: bool, shape: Tuple[int, ...]) -> Any:
    """The reduced loss, with a gradient where x wants one; column: class indices as they came, or None."""
    kernels: List[Kernel] = []
    dtype = problem.x.dtype

    def forward(_: Any, x: Any) -> Any:
        kernel = kernel_of(replace(problem, x=x.detach()), column, ignore_index, validate, shape)
        kernels.append(kernel)
        result = kernel.problem.reduced(kernel)
        return result if result.dtype == dtype else result.to(dtype)

    def backward(_: Any, slope: Any) -> Any:
        inner = kernels[0].problem.x.dtype
        if inner == dtype:
            return kernels[0].gradient(slope)
        return kernels[0].gradient(slope.to(inner)).to(dtype)

    if flow.is_grad_enabled() and problem.x.requires_grad:
        return _apply("CrossEntropyLoss", forward, backward, problem.x)
    with flow.no_grad():
        return forward(None, problem.x)


def kernel_of(problem: Problem, column: Any, ignore_index: int, validate: bool, shape: Tuple[int, ...]) -> Kernel:
    """The fastest kernel that gives this call its numbers: float32 where nothing is wrong, float64 with care elsewhere.

    float64 for sums of large finite numbers must not overflow on the way to an answer that float32 holds (S13). In
    nn.Graph, which can't branch, care is taken in the dtype that came.
    """
    layout, x = problem.layout, problem.x
    rows = x.dtype == flow.float32 and isinstance(layout, Rows) and not problem.lazy
    plain = rows and column is not None and not problem.smoothing
    if plain and validate:
        kernel = attempt(problem, column, ignore_index)
        if kernel is not None:
            return kernel
    clean = None
    if column is not None and validate and not problem.lazy:
        clean = in_range(column, layout.classes, ignore_index, shape)

    def labelled(problem: Problem) -> Problem:
        if column is None:
            return problem
        chosen = labels(column, layout.classes, ignore_index, problem.weight, clean, problem.x.dtype)
        return problem.labelled(chosen)

    if problem.lazy:
        return Shifted(labelled(problem), careful=True)
    fast: Kernel
    if plain:
        fast = Softmax(labelled(problem))
    elif rows and layout.classes >= LEAST_CLASSES:
        fast = LogSoftmax(labelled(problem))
    else:
        fast = Shifted(labelled(problem), careful=False)
    return fast if fast.regular() else Shifted(labelled(_wide(problem)), careful=True)


def _wide(problem: Problem) -> Problem:
    """The problem in float64, labels left out."""
    x, *others = (None if t is None else t.to(flow.float64) for t in (problem.x, problem.probabilities, problem.weight))
    layout = Rows(x) if isinstance(problem.layout, Rows) else Planes(x)
    return replace(problem, x=x, layout=layout, probabilities=others[0], weight=others[1])
