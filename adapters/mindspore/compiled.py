"""The portable loss as MindSpore's compiler reads it: under ``mindspore.jit`` and in GRAPH_MODE.

Nothing can be raised there for a VALUE. Shapes, where they are known, and dtypes are checked while the graph is made; a
class index outside [0, C) that is not ignore_index makes its row nan (composition.py).
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

from .. import checks
from ..framework import framework
from . import composition

mindspore = framework("mindspore")
mint = mindspore.mint
number = mindspore.ops.scalar_to_tensor
Cell: Any = mindspore.nn.Cell


class Differentiable(Cell):  # type: ignore[misc]  # MindSpore has no types
    """Gives a value the gradients that were computed beside it; the compiler drops those that nobody asks for."""

    def construct(self, input: Any, target: Any, value: Any, slope: Any, target_slope: Any) -> Any:
        return value

    def bprop(
        self, input: Any, target: Any, value: Any, slope: Any, target_slope: Any, out: Any, dout: Any
    ) -> Tuple[Any, ...]:
        """`dout` is () or, for reduction none, of the losses' shape."""
        scale = dout.to(slope.dtype)
        if dout.ndim > 0:
            scale = mint.unsqueeze(scale, 1)
        zeros = mindspore.ops.zeros_like
        input_slope = (slope * scale).to(input.dtype)
        if target_slope is None:
            return input_slope, zeros(target), zeros(value), zeros(slope), None
        return input_slope, (target_slope * scale).to(target.dtype), zeros(value), zeros(slope), zeros(target_slope)


_differentiable = Differentiable()


def _checked(
    input: Tuple[int, ...],
    input_dtype: Any,
    target: Tuple[int, ...],
    target_dtype: Any,
    weight: Optional[Tuple[int, ...]],
    weight_dtype: Any,
    ignore_index: int,
) -> bool:
    """`checks.form_of`: whether the target holds class probabilities."""
    sizes = None if weight is None else tuple(weight)
    names = [str(dtype).lower() for dtype in (input_dtype, target_dtype, weight_dtype)]
    return checks.form_of(tuple(input), names[0], tuple(target), names[1], sizes, names[2], ignore_index).probabilities


def _wide() -> Any:
    """float64, which the kernels for Ascend do not know: float32 there."""
    return mindspore.float64 if mindspore.get_context("device_target") == "CPU" else mindspore.float32


def _are_floating(dtype: Any) -> bool:
    return str(dtype).startswith(("Float", "BFloat"))


def _is_none(value: Any) -> bool:
    return value is None


# The compiler runs these while it makes the graph, and puts what they return into it.
_check = mindspore.ops.constexpr(check=False)(_checked)
_dtype_of_computation = mindspore.ops.constexpr(check=False)(_wide)
_holds_probabilities = mindspore.ops.constexpr(check=False)(_are_floating)
_met_as_none = mindspore.ops.constexpr(check=False)(_is_none)


def compiling() -> Any:
    """Whether the compiler reads this: a function, as an argument, reaches its constants as None."""
    return _met_as_none(_is_none)


def cross_entropy(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    """`portable.cross_entropy` with arguments that are checked already."""
    if mindspore.ops.functional.is_sequence_value_unknown(input.shape) or (
        mindspore.ops.functional.is_sequence_value_unknown(target.shape)
    ):
        probabilities = _holds_probabilities(target.dtype)
    elif weight is None:
        probabilities = _check(input.shape, input.dtype, target.shape, target.dtype, None, None, ignore_index)
    else:
        probabilities = _check(
            input.shape, input.dtype, target.shape, target.dtype, weight.shape, weight.dtype, ignore_index
        )
    wide = _dtype_of_computation()
    source = mindspore.ops.stop_gradient(input).to(wide)
    scales = None
    if weight is not None:
        scales = mindspore.ops.stop_gradient(weight).to(wide)
    if probabilities:
        labels = mindspore.ops.stop_gradient(target).to(wide)
        classes = None
    else:
        labels = target.to(mindspore.int64)
        classes = mindspore.ops.arange(input.shape[min(input.ndim - 1, 1)])
    value, slope, target_slope = composition.composed(
        source,
        labels,
        scales,
        ignore_index,
        reduction,
        number(1.0 - label_smoothing, wide),
        number(label_smoothing / input.shape[min(input.ndim - 1, 1)], wide),
        classes,
    )
    if reduction == "none":
        value = value.reshape(input.shape[:1] + input.shape[2:]) if input.ndim > 1 else value.reshape(())
    return _differentiable(input, target, value.to(input.dtype), slope, target_slope)
