"""Hints from what an argument is: one of another kind, or another argument in its place."""

from __future__ import annotations

import math
import numbers
from typing import Any, Optional

import numpy as np

_REDUCTIONS = {  # names of other libraries and of old versions
    "elementwise_mean": "mean", "avg": "mean", "average": "mean", "sum_over_batch_size": "mean",
    "total": "sum", "add": "sum", "no": "none", "": "none",
}  # fmt: skip
_TORCH_ORDER = (
    "by position, torch's order is weight, size_average, ignore_index, reduce, reduction, and here size_average and "
    "reduce have no place: write reduction='mean', 'sum' or 'none', and ignore_index=... by keyword"
)


def conversion(argument: str, value: Any, make: str) -> str:
    """For an argument that is no array or tensor of the kind that is needed.

    Args:
        argument: its name.
        value: what was given.
        make: what makes the right kind of tensor of lists, numbers and NumPy arrays, as source: ``"numpy.asarray"``.
    """
    output = argument == "input"
    if value is None:
        return "is it missing, or from a function that returns nothing?"
    if isinstance(value, np.ma.MaskedArray):
        return f"its mask isn't read: {argument}.filled(...) makes an array, with ignore_index for class indices"
    if output and isinstance(value, dict):
        key = next((key for key in ("logits", "out") if key in value), "logits")
        return f"is it a model's output? its logits are an entry, such as {argument}[{key!r}]"
    if output and hasattr(value, "logits"):
        return f"is it a model's output? its logits are {argument}.logits"
    if isinstance(value, (list, tuple)) and any(hasattr(item, "shape") for item in value[:8]):
        return (
            f"is it a model's output? take an entry, such as {argument}[0]" if output else "stack its tensors into one"
        )
    if argument == "weight" and isinstance(value, (list, tuple)):
        return f"{make}({argument}, dtype={make.split('.')[0]}.float32) makes one"  # also of integers
    if isinstance(value, (list, tuple, numbers.Number, np.ndarray)):
        return f"{make}({argument}) makes one"
    if argument == "linear_weight" and hasattr(value, "weight"):
        return "is it the layer? give its weight, linear_weight.weight"
    for method, call in (("asnumpy", "asnumpy()"), ("detach", "detach().cpu().numpy()"), ("numpy", "numpy()")):
        if hasattr(value, method):
            array = f"{argument}.{call}"
            return f"{array if make == 'numpy.asarray' else f'{make}({array})'} makes one"
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        array = f"numpy.asarray({argument})"
        return f"{array if make == 'numpy.asarray' else f'{make}({array})'} makes one"
    return ""


def weight_kind(value: Any) -> str:
    """For a weight that is no array or tensor."""
    if isinstance(value, str):
        return _as_reduction(value)
    if isinstance(value, dict):
        return "list its values in the order of the classes"
    if isinstance(value, numbers.Number):
        return "a weight is one value a class, in the order of the classes; other arguments go by keyword"
    return ""


def weight_entry(value: float) -> str:
    """For a weight with an entry that isn't finite."""
    return "is it 1 / 0, of a class without samples?" if math.isinf(value) else ""


def ignore_index(value: Any) -> str:
    """For an ignore_index that is no integer, or beyond int64."""
    if value is None:
        return f"leave it out for -100; or is it size_average? {_TORCH_ORDER}"
    if isinstance(value, (bool, np.bool_)):
        return f"is it size_average? {_TORCH_ORDER}"
    if isinstance(value, str):
        number = _number(value)
        return _as_reduction(value) if number is None else ignore_index(number)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        number = float(value)
        if number.is_integer() and abs(number) < 2**63:
            return f"write ignore_index={int(number)}"
        return f"is it label_smoothing? write label_smoothing={number!r} by keyword" if 0 < number < 1 else ""
    if isinstance(value, (list, tuple, set, frozenset)):
        return "it is a single class index: give the others that don't count the same one in target"
    if hasattr(value, "shape") and not isinstance(value, numbers.Number):
        if all(size == 1 for size in value.shape):
            return "write ignore_index=ignore_index.item()"
        return "is it the target? it goes into the loss's call, CrossEntropyLoss(...)(input, target)"
    return ""


def reduction(value: Any) -> str:
    """For a reduction that isn't one of the three."""
    if value is None:
        return "for one loss a row write reduction='none'"
    if isinstance(value, (bool, np.bool_)):
        return f"is it size_average or reduce? {_TORCH_ORDER}"
    if isinstance(value, numbers.Integral):
        return f"is it ignore_index? write ignore_index={int(value)} by keyword"
    if isinstance(value, numbers.Real) and 0 <= float(value) <= 1:
        return f"is it label_smoothing? write label_smoothing={float(value)!r} by keyword"
    if isinstance(value, str):
        if value.lower() in ("batchmean", "batch_mean"):
            return "take 'sum' and divide by the number of samples"
        meant = _REDUCTIONS.get(value.strip().lower())
        return f"did you mean {meant!r}?" if meant else ""
    return ""


def label_smoothing(value: Any) -> str:
    """For a label_smoothing that is no number in [0, 1]."""
    if isinstance(value, str):
        number = _number(value)
        if number is None:
            return _as_reduction(value)
        return f"write label_smoothing={number!r}" if 0 <= number <= 1 else label_smoothing(number)
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and 2 <= float(value) <= 100:
        return f"is it a percentage? write label_smoothing={float(value) / 100!r}"
    return ""


def _as_reduction(value: str) -> str:
    return f"is it the reduction? write reduction={value!r} by keyword" if value in ("none", "mean", "sum") else ""


def _number(text: str) -> Optional[float]:
    """The number that a text, of a configuration file for example, stands for."""
    try:
        return float(text)
    except ValueError:
        return None
