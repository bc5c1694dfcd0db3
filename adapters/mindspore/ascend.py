"""The portable loss in PyNative on Ascend, from mint's own operators. NEVER RUN there: no such device was at hand.

Written from MindSpore's documents and source. What could be run without one: the same composition under the compiler
on a CPU, and this module with the CPU for a device, up to the operators that have no kernel there.
"""

from __future__ import annotations

from typing import Any

from xent.adapters.portable import checks

from ..framework import framework
from . import composition, eager

mindspore = framework("mindspore")
mint = mindspore.mint
Function: Any = mindspore.common._Function


class Loss(Function):  # type: ignore[misc]  # MindSpore has no types
    """The composition with its own gradient, computed in float32: float64 is no dtype of Ascend's kernels."""

    @staticmethod
    def forward(ctx: Any, input: Any, target: Any, call: eager.Call) -> Any:
        wide = mindspore.float32
        weight = None if call.weight is None else call.weight.to(wide)
        if call.form.probabilities:
            goal, classes = target.to(wide), None
        else:
            goal, classes = target.to(mindspore.int64), mint.arange(call.form.classes, dtype=mindspore.int64)
        value, ctx.slope, ctx.target_slope = composition.composed(
            input.to(wide),
            goal,
            weight,
            call.ignore_index,
            call.reduction,
            mindspore.Tensor(1.0 - call.smoothing, wide),
            mindspore.Tensor(call.smoothing / call.form.classes, wide),
            classes,
        )
        ctx.dtypes = input.dtype, target.dtype
        ctx.save_for_backward(input, target)
        ctx.call = call
        return value.to(input.dtype).reshape(call.form.places if call.reduction == "none" else ())

    @staticmethod
    def backward(ctx: Any, dout: Any) -> Any:
        if eager.is_differentiated():
            input, target = ctx.saved_tensors
            return (*eager.differentiable_gradients(input, target, ctx.call, dout, mindspore.float32), None)
        scale = dout.to(ctx.slope.dtype)
        if dout.ndim > 0:
            scale = mint.unsqueeze(scale, 1)
        of_target = None
        if ctx.target_slope is not None and ctx.needs_input_grad[1]:
            of_target = (ctx.target_slope * scale).to(ctx.dtypes[1])
        return (ctx.slope * scale).to(ctx.dtypes[0]), of_target, None


def cross_entropy(input: Any, target: Any, call: eager.Call) -> Any:
    """The loss of a call whose form is checked.

    Raises:
        SpecIndexError: a class index that is neither ignored nor in [0, C) (S6), where call.validate asks.
    """
    if 0 in input.shape:
        return eager.Loss.apply(input, target, call)
    if call.validate and not call.form.probabilities:
        outside = mint.logical_or(mint.lt(target, 0), mint.ge(target, call.form.classes))
        if mint.any(mint.logical_and(outside, mint.ne(target, call.ignore_index))).item():
            checks.refuse_labels(input.shape, target.asnumpy(), call.ignore_index)
    return Loss.apply(input, target, call)
