"""Rules that look at tensors: their kind, labels in range, a finite weight. Shapes and dtypes are checks.py's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional, Tuple

from xent.adapters.framework import framework
from xent.adapters.portable import checks

from .native import as_array

torch: Any = framework("torch")
Tensor = Any

FEW = 64  # numbers up to which a list is faster than a kernel
_NAMES = {
    getattr(torch, name): name
    for name in (
        *("float16", "bfloat16", "float32", "float64"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
    if hasattr(torch, name)
}  # fmt: skip


class Labels(NamedTuple):
    """Class indices as kernels take them.

    Attributes:
        safe: int64, each in [0, C): 0 where ignored.
        ignored: which are; None where none is.
    """

    safe: Tensor
    ignored: Optional[Tensor]


def form_of(input: Tensor, target: Tensor, weight: Optional[Tensor], ignore_index: int, cached: bool) -> checks.Form:
    """`checks.form_of` for tensors. Raises SpecTypeError, SpecValueError."""
    try:
        weight_form: Any = (None, None) if weight is None else (tuple(weight.shape), _NAMES[weight.dtype])
        form: Any = (tuple(input.shape), _NAMES[input.dtype], tuple(target.shape), _NAMES[target.dtype], *weight_form)
    except (AttributeError, KeyError, TypeError):  # no tensors, or dtypes that no rule allows
        expect_tensors(("weight",), input=input, target=target, weight=weight)
        names = [None if tensor is None else dtype_name(tensor) for tensor in (input, target, weight)]
        shapes = [None if tensor is None else tuple(tensor.shape) for tensor in (input, target, weight)]
        form = (shapes[0], names[0], shapes[1], names[1], shapes[2], names[2])
    arguments: Any = (*form, ignore_index)
    return checks.cached_form_of(*arguments) if cached else checks.form_of(*arguments)


def dtype_name(tensor: Tensor) -> str:
    """``"float32"``."""
    return _NAMES.get(tensor.dtype, str(tensor.dtype).replace("torch.", ""))


def expect_tensors(optional: Tuple[str, ...] = (), **tensors: Any) -> None:
    """Raises SpecTypeError for what is no tensor, or None where that may be.

    A loop, since torch.compile leaves one uncompiled where it can't read what follows. Of other code it would keep what
    refuses a NumPy array, and run that for tensors too, which its guards don't tell apart (measured, 2.13.0).
    """
    for argument, value in tensors.items():
        if not isinstance(value, torch.Tensor) and (value is not None or argument not in optional):
            raise checks.kind_error(argument, value, "torch.Tensor", "torch.as_tensor")


def check_weight(weight: Tensor) -> float:
    """The largest magnitude of a weight on the CPU. Raises SpecValueError where it isn't finite (S1)."""
    if weight.numel() <= FEW:
        numbers = weight.tolist()
        low, high = min(numbers), max(numbers)
        finite = math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers))
    else:
        low, high = (number.item() for number in weight.detach().aminmax())
        finite = math.isfinite(low) and math.isfinite(high)  # a nan comes out as nan
    if not finite:
        checks.refuse_weight(as_array(torch, weight))
    return float(max(-low, high))


def survey(target: Tensor, labels: Tensor, classes: int, ignore_index: int, shape: Tuple[int, ...]) -> bool:
    """Whether some class indices may be ignored. Raises SpecIndexError for one that is out of range (S6).

    Args:
        target: as given, on the CPU and not empty.
        labels: the same as int64.
        classes: C.
        shape: of input, for the message.
    """
    if labels.numel() <= FEW:
        numbers = labels.reshape(-1).tolist()
        low, high = min(numbers), max(numbers)
    else:
        low, high = (int(number) for number in labels.aminmax())
    if low >= 0 and high < classes:
        return bool(low <= ignore_index <= high)
    if str(target.dtype) == "torch.uint64" and low < 0:  # beyond int64, whatever ignore_index is
        checks.refuse_labels(tuple(shape), as_array(torch, target), ignore_index)
    if labels.numel() <= FEW:
        within = all(0 <= number < classes or number == ignore_index for number in numbers)
    else:
        low, high = (int(number) for number in labels.masked_fill(labels == ignore_index, 0).aminmax())
        within = low >= 0 and high < classes
    if not within:
        checks.refuse_labels(tuple(shape), as_array(torch, target), ignore_index)
    return True


def masked(labels: Tensor, ignore_index: int) -> Labels:
    """Labels of which some may be ignored."""
    ignored = labels == ignore_index
    return Labels(labels.masked_fill(ignored, 0), ignored)


def spread(x: Tensor) -> Tuple[bool, float]:
    """Whether logits on the CPU hold anything but finite numbers, and the greatest distance between those that are."""
    if x.numel() == 0:
        return False, 0.0
    low, high = (number.item() for number in x.detach().aminmax())  # a nan comes out as nan
    closed = not (math.isfinite(low) and math.isfinite(high))
    if closed:
        low, high = (number.item() for number in x.detach().nan_to_num(0, 0, 0).aminmax())
    return closed, high - low


def assert_in_range(target: Tensor, safe: Tensor, classes: int, ignore_index: int, compiling: bool) -> None:
    """S6 where values can't be read at once: torch's asynchronous assertion, where torch has it.

    Inside torch.func transforms the tensors underneath can be read, and a bad index is refused as elsewhere.

    Args:
        target: as given.
        safe: the same as int64, 0 where ignored.
    """
    if not compiling and _is_wrapped(safe):
        while _is_wrapped(target):
            target = torch._C._functorch.get_unwrapped(target)
        if target.device.type == "cpu" and target.numel() > 0:
            with torch._C._DisableFuncTorch():
                target = target.reshape(-1)
                survey(target, target.to(torch.int64), classes, ignore_index, (target.numel(), classes))
    elif hasattr(torch, "_assert_async") and not safe.is_meta:
        torch._assert_async(in_range(safe, classes).all(), out_of_range(classes, ignore_index))


def in_range(safe: Tensor, classes: int) -> Tensor:
    """Which class indices, 0 where ignored, are in [0, C)."""
    return (safe >= 0) & (safe < classes)


def out_of_range(classes: int, ignore_index: int) -> str:
    """What is wrong where it can't be said which one."""
    return f"a class index is outside [0, {classes}) and not ignore_index {ignore_index}"


def _is_wrapped(tensor: Tensor) -> bool:
    functorch = getattr(torch._C, "_functorch", None)
    return functorch is not None and functorch.is_functorch_wrapped_tensor(tensor)
