"""The portable loss for MindSpore: the specification's semantics in PyNative, under mindspore.jit and in GRAPH_MODE.

In PyNative on a CPU it runs fused kernels behind guards (fused.py), under the compiler and on Ascend mint's operators
(composition.py). float16 and bfloat16 are computed in a wider dtype and rounded once.
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

from xent import dtypes
from xent.adapters.portable import checks, docs

from ..framework import framework
from . import ascend, compiled, eager
from .native import as_array

mindspore = framework("mindspore")
Cell: Any = mindspore.nn.Cell
Parameter = mindspore.Parameter
Tensor = mindspore.Tensor

_NAMES = {getattr(mindspore, name): name for name in (*dtypes.FLOATS, *dtypes.INTEGERS)}


def dtype_name(tensor: Any) -> str:
    """``"float32"``: the name that the rules know a tensor's dtype by."""
    return _NAMES.get(tensor.dtype, str(tensor.dtype))


def expect_tensor(argument: str, value: Any) -> None:
    """Raises SpecTypeError for what is no tensor."""
    if not isinstance(value, Tensor):
        raise checks.kind_error(argument, value, "mindspore.Tensor", "mindspore.Tensor")


def check_weight(weight: Any) -> None:
    """S1 as far as it needs no input. Raises SpecError."""
    expect_tensor("weight", weight)
    if weight.dtype not in _NAMES or weight.ndim != 1:
        checks.refuse_weight(as_array(mindspore, weight))
    array = as_array(mindspore, weight)
    if not dtypes.is_float(array) or not bool((abs(dtypes.to_float64(array)) < float("inf")).all()):
        checks.refuse_weight(array)


def _call(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float, validate: bool
) -> Any:
    """The loss in PyNative. The arguments but not the tensors are checked."""
    expect_tensor("input", input)
    expect_tensor("target", target)
    form = form_of(input.shape, input, target, weight, ignore_index)
    call = eager.Call(form, weight, ignore_index, reduction, label_smoothing, validate)
    with eager.plain_dtypes():
        if mindspore.get_context("device_target") == "CPU":
            return eager.Loss.apply(input, target, call)
        return ascend.cross_entropy(input, target, call)


def form_of(shape: Tuple[int, ...], input: Any, target: Any, weight: Optional[Any], ignore_index: int) -> checks.Form:
    """S1 and S5 to S8 on shapes and dtypes: logits of that shape and input's dtype. Raises SpecError."""
    sizes: Optional[Tuple[int, ...]] = None
    name = None
    if weight is not None:
        sizes, name = weight.shape, dtype_name(weight)
    return checks.cached_form_of(shape, dtype_name(input), target.shape, dtype_name(target), sizes, name, ignore_index)


class CrossEntropyLoss(Cell):  # type: ignore[misc]  # MindSpore has no types
    # Static methods, because mindspore.rewrite (automatic mixed precision, level O1) does not look into these.
    _compiling = staticmethod(compiled.compiling)
    _under_compiler = staticmethod(compiled.cross_entropy)
    _in_pynative = staticmethod(_call)

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
        self.ignore_index = spec.ignore_index
        self.reduction = spec.reduction
        self.label_smoothing = spec.label_smoothing
        self.validate = validate
        self.weight = None
        if weight is not None:
            check_weight(weight)
            self.weight = Parameter(Tensor(weight), name="weight", requires_grad=False)

    def construct(self, input: Any, target: Any) -> Any:
        if self._compiling():
            return self._under_compiler(
                input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
            )
        return self._in_pynative(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing, self.validate
        )

    def extend_repr(self) -> str:
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
    if compiled.compiling():
        return compiled.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    spec = checks.arguments(ignore_index, reduction, label_smoothing)
    if weight is not None:
        check_weight(weight)
    return _call(input, target, weight, spec.ignore_index, spec.reduction, spec.label_smoothing, validate)


docs.describe(
    CrossEntropyLoss,
    cross_entropy,
    "Differentiable with respect to input and class probabilities; weight is a constant and gets no gradient.",
    "The module's weight is a parameter, which is saved in a checkpoint and not trained.",
    "What the compiler made (mindspore.jit, GRAPH_MODE) can't refuse a value: there, as without `validate`, a row whose"
    " class index is out of range is nan.",
    "float16 and bfloat16 are computed in a wider dtype and rounded once.",
    "On a CPU more than 2**18 logits of fewer than 256 classes go through MindSpore's float32 exp, as in its own loss:"
    " its relative error reaches 6e-6 (measured, 2.10.0), up to 18 of the harness's bounds; fewer are computed in"
    " float64.",
)
