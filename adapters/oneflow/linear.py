"""The loss of a linear layer's outputs, chunk by chunk: in eager mode the logits of all rows are never held at once."""

from __future__ import annotations

import math
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from xent.adapters.framework import framework
from xent.adapters.portable import checks
from xent.adapters.portable.linear import renamed
from xent.spec import CrossEntropySpec

from .labels import in_range, labels
from .layouts import Rows
from .portable import based, check_weight, dtype_name, expect_tensor, kernel_of, loss_of
from .problem import Kernel, Problem, added

flow = framework("oneflow")
ops = flow._C
_apply = flow.autograd.Function.__base__.apply  # (name, forward, backward, *inputs): functions that know this one call

_CHUNK = 1 << 23  # logits that are held at a time (32 MB), with about two more of their size
_SMALL = 1 << 13  # logits up to which they are held: the loss then has gradients of gradients


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
    """``cross_entropy(input @ linear_weight.T + linear_bias, target, ...)`` without ever holding those logits in eager
    mode, unless they are few.

    Logits and loss are computed in float32 (float64 for float64), whatever input's dtype. For ``"mean"`` and ``"sum"``
    the gradients come out of the same pass over the chunks; for ``"none"`` a second pass computes the logits again.
    nn.Graph holds the logits.

    Args:
        input: (..., H), what goes into the layer; any floating dtype.
        linear_weight: (C, H), the layer's weight.
        target: class indices of shape (...), or class probabilities (..., C).
        linear_bias: (C), the layer's bias, or None.
        weight, reduction, ignore_index, label_smoothing, validate: as for `cross_entropy`.

    Returns:
        The loss in input's dtype; shape () or, for ``"none"``, (...). Differentiable with respect to input,
        linear_weight and linear_bias; the gradient has a gradient of its own for few logits alone.

    Raises:
        SpecError: what S1 to S8 refuse of these arguments and of logits (N, C), and shapes that don't fit each other.
        SpecTypeError: the old name of an argument beside the new one.

    The signature is that of torch.nn.functional.linear_cross_entropy (torch 2.13) without its options, since the logits
    always come in chunks, and with validate. Old names give a DeprecationWarning (`portable.linear`).
    """
    spec = checks.arguments(ignore_index, reduction, label_smoothing)
    if weight is not None:
        check_weight(weight) if validate else expect_tensor("weight", weight)
    layer = {"linear_weight": linear_weight}
    if linear_bias is not None:
        layer["linear_bias"] = linear_bias
    for argument, tensor in (("input", input), *layer.items(), ("target", target)):
        expect_tensor(argument, tensor)
    places, classes = _shapes(input, layer, target)
    dtype = input.dtype
    compute = flow.float64 if dtype == flow.float64 else flow.float32
    shape = (math.prod(places), classes)
    given = (based(input).reshape(shape[0], input.shape[-1]), *map(based, layer.values()))
    tensors = [tensor if tensor.dtype == compute else tensor.to(compute) for tensor in given]
    target, weight = based(target), None if weight is None else based(weight)
    flat = target.reshape(*shape) if _holds_probabilities(target) else target.reshape(shape[0])
    sizes = (None, None) if weight is None else (tuple(weight.shape), dtype_name(weight.dtype))
    form = checks.cached_form_of(
        shape, dtype_name(dtype), tuple(flat.shape), dtype_name(target.dtype), *sizes, spec.ignore_index
    )
    if input.is_lazy or (0 < form.classes * shape[0] <= _SMALL and input.shape[-1] > 0):
        result = loss_of(_logits(tensors, tensors[0]), flat, weight, spec, validate)
    else:
        scales = None if weight is None else weight.detach()
        result = _Call(shape, flat.detach(), scales, spec, validate, compute).loss(tensors)
    result = result if result.dtype == dtype else result.to(dtype)
    return result.reshape(*places) if spec.reduction == "none" else result


def _holds_probabilities(target: Any) -> bool:
    return bool(target.is_floating_point())


def _shapes(input: Any, layer: Any, target: Any) -> Tuple[Tuple[int, ...], int]:
    """(...) of input, and C. Raises SpecTypeError, SpecValueError."""
    linear_weight = layer["linear_weight"]
    fits = input.ndim > 0 and linear_weight.ndim == 2 and linear_weight.shape[1] == input.shape[-1]
    argument, form = "linear_weight", "(C, H) with input (..., H)"
    if fits and "linear_bias" in layer:
        argument, form = "linear_bias", "(C)"
        fits = tuple(layer["linear_bias"].shape) == (linear_weight.shape[0],)
    if not fits:
        received = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in (("input", input), *layer.items()))
        shapes = tuple(input.shape), tuple(linear_weight.shape)
        raise checks.layer_error(argument, f"must have shape {form}", received, *shapes)
    for argument, tensor in (("input", input), *layer.items()):
        checks.expect_floating(argument, dtype_name(tensor.dtype))
    places, classes = tuple(input.shape[:-1]), int(linear_weight.shape[0])
    probabilities = _holds_probabilities(target)
    if tuple(target.shape) != ((*places, classes) if probabilities else places):
        raise checks.linear_target_error(places, classes, tuple(target.shape), probabilities)
    return places, classes


def _logits(layer: Sequence[Any], rows: Any) -> Any:
    """Of some rows; the layer as `_Call.loss` takes it."""
    if rows.shape[1] == 0:  # a product over nothing
        product = ops.constant((rows.shape[0], layer[1].shape[0]), 0.0, dtype=rows.dtype, device=rows.device)
    else:
        product = ops.matmul(rows, layer[1], False, True)
    return ops.add(product, layer[2]) if len(layer) > 2 else product


class _Call(NamedTuple):
    """One call over chunks of rows.

    Attributes:
        shape: (R, C) of the logits.
        target: class indices (R) or class probabilities (R, C), detached.
        weight: (C), detached, or None.
        spec: the other arguments.
        validate: whether class indices are looked at.
        dtype: of computation.
    """

    shape: Tuple[int, int]
    target: Any
    weight: Any
    spec: CrossEntropySpec
    validate: bool
    dtype: Any

    def loss(self, tensors: List[Any]) -> Any:
        """The reduced loss in the dtype of computation, differentiable.

        Args:
            tensors: input (R, H), linear_weight (C, H) and, where there is one, linear_bias (C).
        """
        wanted = [flow.is_grad_enabled() and tensor.requires_grad for tensor in tensors]
        layer = [tensor.detach() for tensor in tensors]
        kept: List[List[Any]] = []

        def forward(_: Any, *__: Any) -> Any:
            value, slopes = self._run(layer, wanted, None)
            kept.append(slopes)
            return value

        def backward(_: Any, slope: Any) -> Any:
            if self.spec.reduction == "none":
                slopes = self._run(layer, wanted, slope)[1]
            else:
                slopes = [ops.mul(one, slope) for one in kept[0]]
            return tuple(slopes) if len(slopes) > 1 else slopes[0]

        if not any(wanted):
            with flow.no_grad():
                return forward(None)
        leaves = [tensor for tensor, want in zip(tensors, wanted) if want]  # Python 3.8 has no strict
        return _apply("LinearCrossEntropy", forward, backward, *leaves)

    def _run(self, layer: Sequence[Any], wanted: Sequence[bool], slope: Any) -> Tuple[Any, List[Any]]:
        """The reduced loss, and the gradients that are wanted; under ``"none"`` those of `slope`, the losses' own."""
        count, reduction = self.shape[0], self.spec.reduction
        column = self._column()
        divisor = self._divisor(column) if reduction == "mean" else 1.0
        if count == 0:
            value = {"none": lambda: flow.zeros(0, dtype=self.dtype), "sum": lambda: self._number(0.0)}
            nothing = value.get(reduction, lambda: self._number(math.nan))()
            return nothing, [flow.zeros_like(tensor) for tensor, want in zip(layer, wanted) if want]
        gradient = any(wanted) and (reduction != "none" or slope is not None)
        losses, slopes = [], _Slopes(layer, wanted)
        total = 0.0
        step = max(1, _CHUNK // self.shape[1])
        for start in range(0, count, step):
            rows = based(layer[0][start : start + step])
            kernel = self._kernel(_logits(layer, rows), column, start)
            inner = kernel.problem.x.dtype
            if reduction == "none":
                losses.append(kernel.losses.reshape(-1).to(self.dtype))
                outer = None if slope is None else based(slope[start : start + step]).reshape(-1, 1).to(inner)
            else:
                total += kernel.total.item()
                outer = self._number(_quotient(1.0, divisor), inner)
            if gradient:
                slopes.add(rows, kernel.gradient(outer).to(self.dtype))
        value = flow.cat(losses, 0) if losses else self._number(_quotient(total, divisor))
        return value, slopes.found() if gradient else []

    def _number(self, value: float, dtype: Any = None) -> Any:
        return flow.tensor(value, dtype=dtype or self.dtype, device=self.target.device)

    def _column(self) -> Optional[Any]:
        """Class indices (R, 1), looked at; None for class probabilities. Raises SpecIndexError."""
        if _holds_probabilities(self.target):
            return None
        column = self.target.to(flow.int64).reshape(self.shape[0], 1)
        if self.validate and self.shape[0]:
            in_range(column, self.shape[1], self.spec.ignore_index, self.shape)
        return column

    def _scales(self) -> Any:
        """The weight in the dtype of computation, or None."""
        return None if self.weight is None else self.weight.to(self.dtype)

    def _divisor(self, column: Optional[Any]) -> float:
        """What the mean divides by (S9 to S12): nan where every selected weight is 0."""
        if column is None or self.shape[0] == 0:
            return float(self.shape[0])
        chosen = labels(column, self.shape[1], self.spec.ignore_index, self._scales(), None, self.dtype)
        factor = chosen.factor.to(flow.float64)
        divisor = float(added(factor).item())
        return divisor if divisor or added(ops.abs(factor)).item() else math.nan

    def _kernel(self, logits: Any, column: Optional[Any], start: int) -> Kernel:
        """The kernel of the rows from `start` on; their losses add up, or stay as they are."""
        rows = slice(start, start + logits.shape[0])
        reduction = "none" if self.spec.reduction == "none" else "sum"
        shares = based(self.target[rows]).to(self.dtype) if column is None else None
        smoothing = self.spec.label_smoothing
        problem = Problem(logits, Rows(logits), None, shares, self._scales(), reduction, smoothing, False)
        part = None if column is None else based(column[rows])
        return kernel_of(problem, part, self.spec.ignore_index, self.validate, tuple(logits.shape))


def _quotient(value: float, divisor: float) -> float:
    """As IEEE divides."""
    if divisor:
        return value / divisor
    return math.nan if value == 0 or math.isnan(value) else math.copysign(math.inf, value) * math.copysign(1, divisor)


class _Slopes:
    """The gradients that are wanted of input, linear_weight and linear_bias, as they grow."""

    def __init__(self, layer: Sequence[Any], wanted: Sequence[bool]) -> None:
        self._layer, self._wanted = layer, (*wanted, False)
        self._of_input: List[Any] = []
        self._of_weight = self._of_bias = None

    def add(self, rows: Any, slope: Any) -> None:
        """Adds what these rows' gradient with respect to their logits means for each."""
        if self._wanted[0]:
            self._of_input.append(ops.matmul(slope, self._layer[1]) if rows.shape[1] else rows)
        if self._wanted[1]:
            piece = ops.matmul(slope, rows, True) if rows.shape[1] else self._layer[1]
            self._of_weight = piece if self._of_weight is None else self._of_weight.add_(piece)
        if self._wanted[2]:
            ones = ops.constant((1, slope.shape[0]), 1.0, dtype=slope.dtype, device=slope.device)
            piece = ops.matmul(ones, slope).reshape(-1)
            self._of_bias = piece if self._of_bias is None else self._of_bias.add_(piece)

    def found(self) -> List[Any]:
        """All of them."""
        of_input = flow.cat(self._of_input, 0) if self._of_input else None
        return [one for one in (of_input, self._of_weight, self._of_bias) if one is not None]
