"""The portable loss of a linear layer's outputs, chunk by chunk: the logits of all rows are never held at once."""

from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Tuple

import numpy as np

from xent import dtypes
from xent.adapters.portable import checks
from xent.adapters.portable.linear import renamed

from ..framework import framework
from . import compiled, composition, eager, guarded, tensors
from .portable import check_weight, dtype_name, expect_tensor, form_of

mindspore = framework("mindspore")
mint = mindspore.mint
ops = mindspore.ops
Function: Any = mindspore.common._Function

CHUNK = 1 << 23  # logits that are held at a time (32 MB), with about two more of their size

_logits = ops.MatMul(transpose_b=True)
_product = ops.MatMul()
_outer = ops.MatMul(transpose_a=True)


@renamed
def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    validate: bool = True,
) -> Any:
    """``cross_entropy(input @ linear_weight.T + linear_bias, target, ...)`` without ever holding those logits in
    PyNative.

    The logits and their loss are computed in float32 (float64 for float64), whatever input's dtype. For ``"mean"`` and
    ``"sum"`` the gradients come out of the same pass over the chunks, for ``"none"`` a second one computes the logits
    again. mindspore.jit and GRAPH_MODE hold the logits.

    Args:
        input: (..., H), what goes into the layer; any floating dtype.
        linear_weight: (C, H), the layer's weight.
        target: class indices of shape (...), or class probabilities (..., C).
        linear_bias: (C), the layer's bias, or None.
        weight, reduction, ignore_index, label_smoothing, validate: as for `CrossEntropyLoss`.

    Returns:
        The loss in input's dtype; shape () or, for ``"none"``, (...). Differentiable with respect to input,
        linear_weight and linear_bias.

    Raises:
        SpecError: what S1 to S8 refuse of these arguments and the logits' shape, and shapes that don't fit each other.
        SpecTypeError: the old name of an argument beside the new one.

    The signature is that of torch.nn.functional.linear_cross_entropy (torch 2.13) without its options, since the logits
    always come in chunks, and with validate. Old names give a DeprecationWarning (`portable.linear`).
    """
    if compiled.compiling():
        compiled.expect_tensor("input", input)
        compiled.expect_tensor("linear_weight", linear_weight)
        compiled.expect_tensor("target", target)
        if linear_bias is not None:
            compiled.expect_tensor("linear_bias", linear_bias)
        logits = _all_logits(input.reshape(-1, input.shape[-1]), linear_weight, linear_bias)
        shape = input.shape[:-1]
        loss = compiled.cross_entropy(
            logits, target.reshape(logits.shape if target.ndim == input.ndim else (-1,)), weight, ignore_index,
            reduction, label_smoothing,
        )  # fmt: skip
        loss = loss.to(input.dtype)
        return loss.reshape(shape) if reduction == "none" else loss
    spec = checks.arguments(ignore_index, reduction, label_smoothing)
    if weight is not None:
        check_weight(weight)
    for argument, tensor in (("input", input), ("linear_weight", linear_weight), ("target", target)):
        expect_tensor(argument, tensor)
    if linear_bias is not None:
        expect_tensor("linear_bias", linear_bias)
    _check_shapes(input, linear_weight, linear_bias, target)
    rows = input.reshape(-1, input.shape[-1])
    shape = (rows.shape[0], linear_weight.shape[0])
    flat = target.reshape(shape if target.ndim == input.ndim else (-1,))
    form = form_of(shape, input, flat, weight, ignore_index)
    call = eager.Call(form, weight, spec.ignore_index, spec.reduction, spec.label_smoothing, validate)
    with eager.plain_dtypes():
        loss = Loss.apply(rows, linear_weight, linear_bias, flat, call)
    return loss.reshape(input.shape[:-1]) if spec.reduction == "none" else loss


def _check_shapes(input: Any, linear_weight: Any, linear_bias: Any, target: Any) -> None:
    layer = {"linear_weight": linear_weight}
    if linear_bias is not None:
        layer["linear_bias"] = linear_bias
    classes = linear_weight.shape[:1]
    fits = {"linear_weight": input.ndim > 0 and linear_weight.shape == (*classes, input.shape[-1])}
    fits["linear_bias"] = linear_bias is None or linear_bias.shape == classes
    for argument in layer:
        if not fits[argument]:
            received = ", ".join(f"{name} {one.shape}" for name, one in (("input", input), *layer.items()))
            form = "(C, H) with input (..., H)" if argument == "linear_weight" else "(C)"
            raise checks.layer_error(argument, f"must have shape {form}", received, input.shape, linear_weight.shape)
    for argument, tensor in (("input", input), *layer.items()):
        checks.expect_floating(argument, dtype_name(tensor))
    rows, count = input.shape[:-1], classes[0]
    if target.shape not in (rows, (*rows, count)):
        raise checks.linear_target_error(rows, count, target.shape, dtype_name(target) in dtypes.FLOATS)


def _all_logits(input: Any, linear_weight: Any, linear_bias: Any) -> Any:
    """Those of rows (R, H), by operators with gradients, in the dtype of computation where all are floating."""
    wide = mindspore.float64 if input.dtype == mindspore.float64 else mindspore.float32
    if guarded.floating(input.dtype) and guarded.floating(linear_weight.dtype):
        input, linear_weight = input.to(wide), linear_weight.to(wide)
    logits = mint.matmul(input, mint.permute(linear_weight, (1, 0)))
    if linear_bias is not None:
        logits = logits + linear_bias.to(logits.dtype)
    return logits


class Loss(Function):  # type: ignore[misc]  # MindSpore has no types
    """The loss of rows (R, H), with its gradients with respect to them and to the layer, (C, H) and (C) or None."""

    @staticmethod
    def forward(ctx: Any, input: Any, linear_weight: Any, linear_bias: Any, target: Any, call: eager.Call) -> Any:
        ctx.save_for_backward(input, linear_weight, linear_bias, target)
        ctx.call = call
        if input.shape[0] == 0:
            return eager.of_nothing(input, call)
        rows = _Rows.of(input, linear_weight, linear_bias)
        if call.reduction == "none":
            return tensors.converted(mint.concat(_losses(rows, target, call), 0), input.dtype)
        divisor = eager.divisor_of(input, target, call) if call.reduction == "mean" else 1.0
        scale = 1.0 / divisor if divisor else math.nan
        value, ctx.slopes = _total(rows, target, call, scale, ctx.needs_input_grad[:3])
        if call.reduction == "mean":
            with np.errstate(all="ignore"):
                value = float(np.divide(value, divisor))  # by 0 as IEEE does, where weights cancel
        return mindspore.Tensor(value, input.dtype)

    @staticmethod
    def backward(ctx: Any, dout: Any) -> Tuple[Any, ...]:
        input, linear_weight, linear_bias, target = ctx.saved_tensors
        call = ctx.call
        if eager.is_differentiated() and input.shape[0] > 0:  # holds the logits, in operators with gradients
            logits = _all_logits(input, linear_weight, linear_bias)
            slope, _ = eager.differentiable_gradients(logits, target, call, dout)
            of_input = mint.matmul(slope, linear_weight.to(slope.dtype)).to(input.dtype)
            of_weight = mint.matmul(mint.permute(slope, (1, 0)), input.to(slope.dtype)).to(linear_weight.dtype)
            of_bias = None if linear_bias is None else mint.sum(slope, 0).to(linear_bias.dtype)
            return of_input, of_weight, of_bias, None, None
        slopes: List[Any]
        given = (input, linear_weight, linear_bias)
        if input.shape[0] == 0:
            slopes = [None if one is None else ops.zeros_like(one) for one in given]
        elif call.reduction == "none":
            rows = _Rows.of(*given)
            _, slopes = _total(rows, target, call, dout, ctx.needs_input_grad[:3])
        else:
            factor = float(tensors.converted(dout, mindspore.float64).asnumpy())
            slopes = [None if slope is None else tensors.scaled(slope, factor) for slope in ctx.slopes]
        found = [None if slope is None else tensors.converted(slope, given[i].dtype) for i, slope in enumerate(slopes)]
        return (*found, None, None)


class _Rows(NamedTuple):
    """What goes into the layer, (R, H), and the layer, all in the dtype in which the logits are computed."""

    input: Any
    weight: Any
    bias: Any

    @classmethod
    def of(cls, *given: Any) -> _Rows:
        """Of tensors in any dtype; the last may be None."""
        dtype = mindspore.float64 if given[0].dtype == mindspore.float64 else mindspore.float32
        return cls(*(None if tensor is None else tensors.converted(tensor, dtype) for tensor in given))

    @property
    def starts(self) -> range:
        """Where the chunks begin."""
        return range(0, self.input.shape[0], max(1, CHUNK // self.weight.shape[0]))

    def logits(self, part: Any) -> Any:
        """Those of some rows."""
        product = _logits(part, self.weight)
        return product if self.bias is None else product.add_(self.bias)


def _part(call: eager.Call, rows: int, reduction: str) -> eager.Call:
    return call._replace(form=call.form._replace(places=(rows,)), reduction=reduction)


def _losses(rows: _Rows, target: Any, call: eager.Call) -> List[Any]:
    """Row by row, float64."""
    starts, losses = rows.starts, []
    for start in starts:
        part = rows.input[start : start + starts.step]
        labels = target[start : start + starts.step]
        piece = _part(call, part.shape[0], "none")
        losses.append(eager.loss_and_gradients(rows.logits(part), labels, piece)[0].reshape(-1))
    return losses


def _total(
    rows: _Rows, target: Any, call: eager.Call, factor: Any, wanted: Tuple[bool, ...]
) -> Tuple[float, List[Any]]:
    """The sum of all losses, and its gradients of input, weight and bias times `factor`, a float or one a row."""
    starts = rows.starts
    total, of_input, of_weight, of_bias = 0.0, [], None, None
    for start in starts:
        part = rows.input[start : start + starts.step]
        each = not isinstance(factor, float)
        piece = _part(call, part.shape[0], "none" if each else "sum")
        value, gradients = eager.loss_and_gradients(rows.logits(part), target[start : start + starts.step], piece)
        total += value if isinstance(value, float) else float(mint.sum(value).asnumpy())
        if not any(wanted):
            continue
        outer = factor[start : start + starts.step] if each else tensors.number(factor, mindspore.float64)
        slope, _ = gradients(outer, False)
        if wanted[0]:
            of_input.append(_product(slope, rows.weight))
        if wanted[1]:
            of_weight = _added(of_weight, _outer(slope, part))
        if wanted[2]:
            of_bias = _added(of_bias, _product(ops.ones((1, part.shape[0]), slope.dtype), slope).reshape(-1))
    return total, [composition.joined(of_input) if of_input else None, of_weight, of_bias]


def _added(total: Any, piece: Any) -> Any:
    return piece if total is None else total.add_(piece)
