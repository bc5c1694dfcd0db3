"""The portable loss in PyNative on a CPU: fused kernels (fused.py), and the composition for what they get wrong."""

from __future__ import annotations

import contextlib
import math
from typing import Any, Callable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from xent.adapters.portable import checks

from ..framework import framework
from . import composition, fused, tensors

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops
Function: Any = mindspore.common._Function
_amp: Any = mindspore._c_expression.amp
_MixedPrecision: Any = mindspore._c_expression.MixedPrecisionType
_executor: Any = mindspore.graph.api._pynative_executor
_set_mixed_precision: Any = _executor.set_mixed_precision_type

CHUNK = 1 << 22  # elements that the composition holds at a time, some ten times over, in float64
_LABELS = (mindspore.int32, mindspore.int64)


class Call(NamedTuple):
    """What a call asks for, checked.

    Attributes:
        form: of input and target.
        weight: (C,), or None.
    """

    form: checks.Form
    weight: Any
    ignore_index: int
    reduction: str
    smoothing: float
    validate: bool


@contextlib.contextmanager
def plain_dtypes() -> Iterator[None]:
    """Without automatic mixed precision, which would convert the inputs of every operator in here, float64 too."""
    _set_mixed_precision(_MixedPrecision.NOTSET, True)
    _amp.push_amp_strategy(_amp.AmpLevel.AmpO0, mindspore.float32, [], [])
    try:
        yield
    finally:
        _amp.pop_amp_strategy()
        _set_mixed_precision(_MixedPrecision.NOTSET, False)


class Loss(Function):  # type: ignore[misc]  # MindSpore has no types
    """The loss with its own gradient, with respect to input and to class probabilities."""

    @staticmethod
    def forward(ctx: Any, input: Any, target: Any, call: Call) -> Any:
        ctx.save_for_backward(input, target)
        ctx.call = call
        if 0 in call.form.places:
            ctx.gradients = lambda dout, wanted: (ops.zeros_like(input), None)
            return of_nothing(input, call)
        value, ctx.gradients = loss_and_gradients(input, target, call)
        if isinstance(value, float):
            return mindspore.Tensor(value, input.dtype)
        return tensors.converted(value, input.dtype).reshape(call.form.places)

    @staticmethod
    def backward(ctx: Any, dout: Any) -> Tuple[Any, ...]:
        if is_differentiated() and 0 not in ctx.call.form.places:
            input, target = ctx.saved_tensors
            return (*differentiable_gradients(input, target, ctx.call, dout), None)
        return (*ctx.gradients(dout, ctx.needs_input_grad[1]), None)


def is_differentiated() -> bool:
    """In a backward pass: whether it is recorded, for a gradient of the gradient."""
    return bool(_executor.requires_grad())


def differentiable_gradients(
    input: Any, target: Any, call: Call, dout: Any, wide: Any = mindspore.float64
) -> Tuple[Any, Any]:
    """The gradients with respect to input and class probabilities (else None), by operators with gradients of their
    own: what a forward pass kept is made of what MindSpore did not record, and the gradient of that would be 0."""
    _, slope, target_slope = composition.composed(
        input.to(wide),
        target.to(wide if call.form.probabilities else mindspore.int64),
        None if call.weight is None else call.weight.to(wide),
        call.ignore_index,
        call.reduction,
        tensors.number(1.0 - call.smoothing, wide),
        tensors.number(call.smoothing / call.form.classes, wide),
        None if call.form.probabilities else ops.arange(call.form.classes),
    )
    scale = dout.to(wide)
    if input.ndim > 1 and dout.ndim > 0:
        scale = mint.unsqueeze(scale, 1)
    of_target = None if target_slope is None else (target_slope * scale).to(target.dtype)
    return (slope * scale).to(input.dtype), of_target


Gradients = Callable[[Any, bool], Tuple[Any, Any]]


def of_nothing(input: Any, call: Call) -> Any:
    """N = 0 (S12): kernels refuse empty tensors."""
    if call.reduction == "none":
        return mint.empty(call.form.places, dtype=input.dtype)
    return mindspore.Tensor(0.0 if call.reduction == "sum" else float("nan"), input.dtype)


def loss_and_gradients(input: Any, target: Any, call: Call) -> Tuple[Any, Gradients]:
    """The loss, a float or for reduction none a float64 tensor of as many numbers as there are rows, and what gives
    its gradients from that of the result."""
    return _fused(input, target, call) or _composed(input, target, call)


def divisor_of(input: Any, target: Any, call: Call) -> float:
    """What the mean divides by; nan where nothing is selected (S12), and where class indices are out of range, which
    are refused where call.validate asks."""
    if call.form.probabilities:
        return float(math.prod(call.form.places))
    ignored, wrong = _ignored((*call.form.places[:1], call.form.classes, *call.form.places[1:]), target, call)
    if wrong:
        return math.nan
    if call.weight is None:
        return float(target.size - (0 if ignored is None else np.count_nonzero(ignored))) or math.nan
    labels = tensors.converted(target.reshape(-1), mindspore.int64)
    skipped = mint.eq(labels, call.ignore_index)
    scale = ops.GatherD()(
        tensors.converted(call.weight, mindspore.float64), 0, mint.where(skipped, ops.zeros_like(labels), labels)
    )
    selected = mint.where(skipped, 0.0, scale).asnumpy()
    return float(selected.sum()) if selected.any() else math.nan


def _factor(dout: Any, call: Call, divisor: float, shape: Tuple[int, ...]) -> Any:
    """What a row's gradient is multiplied with: a float, or float64 of that shape where losses were returned."""
    if call.reduction == "none":
        return tensors.converted(dout, mindspore.float64).reshape(shape)
    if dout.dtype == mindspore.bfloat16:
        dout = tensors.converted(dout, mindspore.float32)
    return float(dout.asnumpy()) / (divisor if call.reduction == "mean" else 1.0)


def _fused(input: Any, target: Any, call: Call) -> Optional[Tuple[Any, Gradients]]:
    """The result in float64 and its gradients, or None where the kernels can't be trusted with these numbers."""
    dtype = fused.dtype_of_computation(input.dtype, math.prod(call.form.places), call.form.classes)
    ordered = tensors.as_planes if dtype == mindspore.float32 and input.ndim > 2 else tensors.as_rows
    x = ordered(tensors.converted(input, dtype))
    room = fused.allowed(input.dtype, dtype, call.form.classes)
    if call.form.probabilities:
        goal = ordered(tensors.converted(target, dtype))
        rows = fused.of_probabilities(x, goal, call.weight, call.smoothing, room)
    else:
        ignored, wrong = _ignored(input.shape, target, call)
        if wrong:
            return None
        shape = (x.shape[0], 1, *x.shape[2:])
        label = target.reshape(shape)
        if label.dtype not in _LABELS:
            label = tensors.converted(label, mindspore.int64)
        if ignored is not None:
            ignored = ignored.reshape(shape)
        rows = fused.of_indices(x, label, call.weight, call.ignore_index, ignored, call.smoothing, room)
    if rows is None or rows.divisor == 0.0:
        return None
    found = rows

    def gradients(dout: Any, wanted: bool) -> Tuple[Any, Any]:
        factor = _factor(dout, call, found.divisor, found.gains.shape)
        if found.coefficient is not None:
            # First: the other gradient may be written into the probabilities' memory.
            of_target = fused.gradient_of_targets(found, factor, call.weight, call.smoothing) if wanted else None
            slope = fused.gradient_of_probabilities(found, factor)
            if of_target is not None:
                of_target = tensors.converted(tensors.like_input(of_target, input.shape), target.dtype)
        else:
            of_target, slope = None, fused.gradient_of_indices(found, factor, call.smoothing)
        return tensors.converted(tensors.like_input(slope, input.shape), input.dtype), of_target

    if call.reduction == "none":
        return ops.Sub()(tensors.number(0.0, mindspore.float64), rows.gains), gradients
    divisor = rows.divisor if call.reduction == "mean" else 1.0
    return 0.0 - float(rows.gains.asnumpy().sum()) / divisor, gradients


def _ignored(input: Tuple[int, ...], target: Any, call: Call) -> Tuple[Any, bool]:
    """Which rows are ignored, an array of target's shape or None for none, and whether class indices are wrong. Those
    that are neither ignored nor in [0, C) are refused (S6) where call.validate asks; no kernel may see them."""
    labels = target.asnumpy()  # a view: nothing is copied
    classes, ignore_index = call.form.classes, call.ignore_index
    if not 0 <= ignore_index < classes and labels.min() >= 0 and labels.max() < classes:
        return None, False
    ignored = labels == ignore_index
    if (((labels < 0) | (labels >= classes)) & ~ignored).any():
        if call.validate:
            checks.refuse_labels(input, labels, ignore_index)
        return None, True
    return (ignored if ignored.any() else None), False


def _sliceable(tensor: Any) -> Any:
    """bfloat16 as float32: after an error inside value_and_grad MindSpore slices by StridedSlice, which lacks it."""
    return tensors.converted(tensor, mindspore.float32) if tensor.dtype == mindspore.bfloat16 else tensor


def _composed(input: Any, target: Any, call: Call) -> Tuple[Any, Gradients]:
    """The result in float64 and its gradients, right for every number; the rows go through in chunks."""
    wide = mindspore.float64
    x = _sliceable(tensors.as_rows(input, finite=False))
    weight = None if call.weight is None else tensors.converted(call.weight, wide)
    kept, spread = tensors.number(1.0 - call.smoothing, wide), tensors.number(call.smoothing / call.form.classes, wide)
    step = max(1, CHUNK // call.form.classes)
    starts = range(0, x.shape[0], step)
    if call.form.probabilities:
        goal, classes = _sliceable(tensors.as_rows(target, finite=False)), None
    else:
        goal, classes = tensors.converted(target.reshape(-1), mindspore.int64), ops.arange(call.form.classes)

    def chunk(start: int) -> Tuple[Any, ...]:
        """Losses, divisors, ignored rows, gradients and -log p of the rows from `start` on."""
        part = tensors.converted(x[start : start + step], wide)
        aim = goal[start : start + step]
        if classes is None:
            coefficients = composition.probability_coefficients(tensors.converted(aim, wide), weight, kept, spread)
            loss, gradient, surprise = composition.losses(part, coefficients)
            return loss, ops.ones_like(loss), None, gradient, surprise
        coefficients, divisor, ignored, wrong = composition.index_coefficients(
            aim, weight, call.ignore_index, kept, spread, classes
        )
        loss, gradient, surprise = composition.losses(part, coefficients)
        loss = mint.where(ignored, 0.0, mint.where(wrong, composition.NAN, loss))
        return loss, divisor, ignored, mint.where(wrong, composition.NAN, gradient), surprise

    parts = [chunk(start)[:2] for start in starts]
    value, factor = composition.reduced(
        composition.joined([p[0] for p in parts]), composition.joined([p[1] for p in parts]), call.reduction
    )

    def gradients(dout: Any, wanted: bool) -> Tuple[Any, Any]:
        wanted = wanted and call.form.probabilities  # asked for class indices too where parameters are differentiated
        outer = tensors.converted(dout, wide).reshape(-1, 1) * factor
        slopes, target_slopes = [], []
        for start in starts:
            scale = outer if call.reduction != "none" else outer[start : start + step]
            _, _, ignored, gradient, surprise = chunk(start)
            slope = gradient * scale
            slopes.append(slope if ignored is None else mint.where(ignored, 0.0, slope))
            if wanted:
                target_slopes.append(composition.target_gradient(surprise, weight, kept) * scale)
        of_target = (
            tensors.converted(composition.like_input(composition.joined(target_slopes), target), target.dtype)
            if wanted
            else None
        )
        return tensors.converted(composition.like_input(composition.joined(slopes), input), input.dtype), of_target

    if call.reduction == "none":
        return value, gradients
    return 0.0 + float(value.asnumpy()), gradients
