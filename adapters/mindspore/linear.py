"""The portable loss of a linear layer's outputs, chunk by chunk: the logits of all rows are never held at once."""

from __future__ import annotations

import math
from typing import Any, List, Tuple

import numpy as np

from xent import dtypes
from xent.adapters.portable import checks

from ..framework import framework
from . import compiled, composition, eager, tensors
from .portable import check_weight, dtype_name, expect_tensor, form_of

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops
Function: Any = mindspore.common._Function

CHUNK = 1 << 23  # logits that are held at a time (32 MB), with about two more of their size

_logits = ops.MatMul(transpose_b=True)
_product = ops.MatMul()
_outer = ops.MatMul(transpose_a=True)


def linear_cross_entropy(
    hidden: Any,
    projection: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    validate: bool = True,
) -> Any:
    """``cross_entropy(hidden @ projection.T, target, ...)`` without ever holding those logits in PyNative.

    The logits and their loss are computed in float32 (float64 for float64), whatever hidden's dtype. For ``"mean"`` and
    ``"sum"`` the gradients come out of the same pass over the chunks, for ``"none"`` a second one computes the logits
    again. mindspore.jit and GRAPH_MODE hold the logits.

    Args:
        hidden: (..., H), what goes into the layer.
        projection: (C, H), the layer's weight, of hidden's dtype.
        target: class indices of shape (...), or class probabilities (..., C).
        weight, ignore_index, reduction, label_smoothing, validate: as for `CrossEntropyLoss`.

    Returns:
        The loss in hidden's dtype; shape () or, for ``"none"``, (...). Differentiable with respect to hidden and
        projection.

    Raises:
        SpecError: what S1 to S8 refuse of these arguments and the logits' shape, and shapes that don't fit each other.
    """
    if compiled.compiling():
        compiled.expect_tensor("hidden", hidden)
        compiled.expect_tensor("projection", projection)
        compiled.expect_tensor("target", target)
        logits = mint.matmul(hidden.reshape(-1, hidden.shape[-1]), mint.permute(projection, (1, 0)))
        shape = hidden.shape[:-1]
        loss = compiled.cross_entropy(
            logits, target.reshape(logits.shape if target.ndim == hidden.ndim else (-1,)), weight, ignore_index,
            reduction, label_smoothing,
        )  # fmt: skip
        return loss.reshape(shape) if reduction == "none" else loss
    spec = checks.arguments(ignore_index, reduction, label_smoothing)
    if weight is not None:
        check_weight(weight)
    for argument, tensor in (("hidden", hidden), ("projection", projection), ("target", target)):
        expect_tensor(argument, tensor)
    _check_shapes(hidden, projection, target)
    rows = hidden.reshape(-1, hidden.shape[-1])
    shape = (rows.shape[0], projection.shape[0])
    flat = target.reshape(shape if target.ndim == hidden.ndim else (-1,))
    form = form_of(shape, hidden, flat, weight, ignore_index)
    call = eager.Call(form, weight, spec.ignore_index, spec.reduction, spec.label_smoothing, validate)
    with eager.plain_dtypes():
        loss = Loss.apply(rows, projection, flat, call)
    return loss.reshape(hidden.shape[:-1]) if spec.reduction == "none" else loss


def _check_shapes(hidden: Any, projection: Any, target: Any) -> None:
    fits = hidden.ndim > 0 and projection.ndim == 2 and projection.shape[1] == hidden.shape[-1]
    if not fits or hidden.dtype != projection.dtype:
        received = f"hidden {hidden.shape} {hidden.dtype}, projection {projection.shape} {projection.dtype}"
        must = "must be (C, H) with hidden (..., H), of the same dtype"
        raise checks.projection_error("projection", must, received, hidden.shape, projection.shape)
    checks.expect_floating("hidden", dtype_name(hidden))
    rows, classes = hidden.shape[:-1], projection.shape[0]
    if target.shape not in (rows, (*rows, classes)):
        raise checks.linear_target_error(rows, classes, target.shape, dtype_name(target) in dtypes.FLOATS)


class Loss(Function):  # type: ignore[misc]  # MindSpore has no types
    """The loss of rows (R, H), with its gradients with respect to them and to projection (C, H)."""

    @staticmethod
    def forward(ctx: Any, hidden: Any, projection: Any, target: Any, call: eager.Call) -> Any:
        ctx.save_for_backward(hidden, projection, target)
        ctx.call = call
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        if hidden.shape[0] == 0:
            return eager.of_nothing(hidden, call)
        if call.reduction == "none":
            return tensors.converted(mint.concat(_losses(hidden, projection, target, call), 0), hidden.dtype)
        divisor = eager.divisor_of(hidden, target, call) if call.reduction == "mean" else 1.0
        value, ctx.slopes = _total(hidden, projection, target, call, 1.0 / divisor if divisor else math.nan, wanted)
        if call.reduction == "mean":
            with np.errstate(all="ignore"):
                value = float(np.divide(value, divisor))  # by 0 as IEEE does, where weights cancel
        return mindspore.Tensor(value, hidden.dtype)

    @staticmethod
    def backward(ctx: Any, dout: Any) -> Tuple[Any, ...]:
        hidden, projection, target = ctx.saved_tensors
        call = ctx.call
        wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        if eager.is_differentiated() and hidden.shape[0] > 0:  # holds the logits, in operators with gradients
            logits = mint.matmul(hidden, mint.permute(projection, (1, 0)))
            slope, _ = eager.differentiable_gradients(logits, target, call, dout)
            return mint.matmul(slope, projection), mint.matmul(mint.permute(slope, (1, 0)), hidden), None, None
        if hidden.shape[0] == 0:
            slopes = [ops.zeros_like(hidden), ops.zeros_like(projection)]
        elif call.reduction == "none":
            _, slopes = _total(hidden, projection, target, call, dout, wanted)
        else:
            factor = float(tensors.converted(dout, mindspore.float64).asnumpy())
            slopes = [None if slope is None else tensors.scaled(slope, factor) for slope in ctx.slopes]
        of_hidden, of_projection = (
            None if slope is None else tensors.converted(slope, hidden.dtype) for slope in slopes
        )
        return of_hidden, of_projection, None, None


def _chunks(hidden: Any, projection: Any) -> range:
    return range(0, hidden.shape[0], max(1, CHUNK // projection.shape[0]))


def _computed(hidden: Any, projection: Any) -> Tuple[Any, Any]:
    """Both in the dtype in which the logits are computed."""
    dtype = mindspore.float64 if hidden.dtype == mindspore.float64 else mindspore.float32
    return tensors.converted(hidden, dtype), tensors.converted(projection, dtype)


def _part(call: eager.Call, rows: int, reduction: str) -> eager.Call:
    return call._replace(form=call.form._replace(places=(rows,)), reduction=reduction)


def _losses(hidden: Any, projection: Any, target: Any, call: eager.Call) -> List[Any]:
    """Row by row, float64."""
    x, weights = _computed(hidden, projection)
    chunks = _chunks(hidden, projection)
    losses = []
    for start in chunks:
        part = x[start : start + chunks.step]
        logits = _logits(part, weights)
        labels = target[start : start + chunks.step]
        losses.append(eager.loss_and_gradients(logits, labels, _part(call, part.shape[0], "none"))[0].reshape(-1))
    return losses


def _total(
    hidden: Any, projection: Any, target: Any, call: eager.Call, factor: Any, wanted: Tuple[bool, bool]
) -> Tuple[float, List[Any]]:
    """The sum of all losses, and its gradients times `factor` (a float, or one for each row)."""
    x, weights = _computed(hidden, projection)
    chunks = _chunks(hidden, projection)
    total, of_hidden, of_projection = 0.0, [], None
    for start in chunks:
        part = x[start : start + chunks.step]
        logits = _logits(part, weights)
        each = not isinstance(factor, float)
        piece = _part(call, part.shape[0], "none" if each else "sum")
        value, gradients = eager.loss_and_gradients(logits, target[start : start + chunks.step], piece)
        total += value if isinstance(value, float) else float(mint.sum(value).asnumpy())
        if not any(wanted):
            continue
        outer = factor[start : start + chunks.step] if each else tensors.number(factor, mindspore.float64)
        slope, _ = gradients(outer, False)
        if wanted[0]:
            of_hidden.append(_product(slope, weights))
        if wanted[1]:
            piece_of_projection = _outer(slope, part)
            of_projection = piece_of_projection if of_projection is None else of_projection.add_(piece_of_projection)
    return total, [composition.joined(of_hidden) if of_hidden else None, of_projection]
