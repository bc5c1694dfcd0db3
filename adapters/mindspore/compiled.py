"""The portable loss as MindSpore's compiler reads it: under ``mindspore.jit`` and in GRAPH_MODE.

On a CPU the kernels of graph.py compute it, and the composition (composition.py) what their guards find; on Ascend, and
where shapes aren't known, the composition alone.

Nothing can be raised there for a VALUE. Shapes, where they are known, and dtypes are checked while the graph is made; a
class index outside [0, C) that is not ignore_index makes its row nan (composition.py).

A gradient of a gradient is right where PyNative takes the outer one, of compiled code too. Where one graph holds both,
MindSpore 2.10.0 refuses it ("The func graph is empty", a RuntimeError).
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

from xent.adapters.portable import checks

from ..framework import framework
from . import composition, guarded

mindspore = framework("mindspore")
mint = mindspore.mint
number = mindspore.ops.scalar_to_tensor
Cell: Any = mindspore.nn.Cell
Tensor = mindspore.Tensor


class Differentiable(Cell):  # type: ignore[misc]  # MindSpore has no types
    """Gives a value its gradients, which have gradients in turn: the compiler reads the operators they are made of, and
    computes what value shares with them once."""

    def construct(
        self,
        input: Any,
        target: Any,
        weight: Any,
        value: Any,
        ignore_index: int,
        reduction: str,
        label_smoothing: float,
    ) -> Any:
        return value

    def bprop(
        self, input: Any, target: Any, weight: Any, value: Any, ignore_index: int, reduction: str,
        label_smoothing: float, out: Any, dout: Any,
    ) -> Tuple[Any, ...]:  # fmt: skip
        """`dout` is () or, for reduction none, of the losses' shape."""
        zeros = mindspore.ops.zeros_like
        if _are_none(input.shape):
            return zeros(input), zeros(target), None, zeros(value), 0, "", 0.0
        slope, target_slope = guarded.slopes(input, target, weight, ignore_index, reduction, label_smoothing, dout)
        return slope, target_slope, None, zeros(value), 0, "", 0.0


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


def _refuse_kind(argument: str, value: Any) -> None:
    raise checks.kind_error(argument, value, "mindspore.Tensor", "mindspore.Tensor")


def _has_no_places(shape: Tuple[int, ...]) -> bool:
    return len(shape) > 1 and 0 in shape


def _is_none(value: Any) -> bool:
    return value is None


# The compiler runs these while it makes the graph, and puts what they return into it.
_check = mindspore.ops.constexpr(check=False)(_checked)
_refuse = mindspore.ops.constexpr(check=False)(_refuse_kind)
_are_none = mindspore.ops.constexpr(check=False)(_has_no_places)
_met_as_none = mindspore.ops.constexpr(check=False)(_is_none)


def compiling() -> Any:
    """Whether the compiler reads this: a function, as an argument, reaches its constants as None."""
    return _met_as_none(_is_none)


def expect_tensor(argument: str, value: Any) -> None:
    """Raises SpecTypeError for what is no tensor, while the graph is made."""
    if not isinstance(value, Tensor):
        _refuse(argument, value)


def cross_entropy(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    """`portable.cross_entropy` with arguments that are checked already, but for input, target and weight."""
    expect_tensor("input", input)
    expect_tensor("target", target)
    if weight is not None:
        expect_tensor("weight", weight)
    unknown = mindspore.ops.functional.is_sequence_value_unknown(input.shape) or (
        mindspore.ops.functional.is_sequence_value_unknown(target.shape)
    )
    if not unknown and weight is None:
        _check(input.shape, input.dtype, target.shape, target.dtype, None, None, ignore_index)
    elif not unknown:
        _check(input.shape, input.dtype, target.shape, target.dtype, weight.shape, weight.dtype, ignore_index)
    cut = mindspore.ops.stop_gradient
    scales = None
    if weight is not None:
        scales = cut(weight)
    if _are_none(input.shape):
        value = _of_nothing(input, reduction)
    else:
        value = guarded.value(cut(input), cut(target), scales, ignore_index, reduction, label_smoothing)
        if reduction == "none":
            value = value.reshape(input.shape[:1] + input.shape[2:]) if input.ndim > 1 else value.reshape(())
        value = value.to(input.dtype)
    return _differentiable(input, target, scales, value, ignore_index, reduction, label_smoothing)


def _of_nothing(input: Any, reduction: str) -> Any:
    """N = 0 (S12): kernels refuse empty tensors."""
    if reduction == "none":
        return mindspore.ops.zeros(input.shape[:1] + input.shape[2:], input.dtype)
    return number(0.0 if reduction == "sum" else composition.NAN, input.dtype)
