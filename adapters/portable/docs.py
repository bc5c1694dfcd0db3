"""The documentation of the portable losses: one text for every framework, with the framework's own notes after it."""

from __future__ import annotations

from textwrap import fill
from typing import Any

_ARGUMENTS = """\
        weight: None, or a finite floating tensor (C): a factor for each class (S1).
        ignore_index: rows with this class index contribute nothing (S2); negative with class probabilities (S8).
        reduction: ``"none"``, ``"mean"`` or ``"sum"`` (S3).
        label_smoothing: a number in [0, 1] (S4).
        validate: whether values are looked at too: a class index outside [0, C) that isn't ignore_index is refused. See
            the notes for what becomes of one otherwise. Shapes and dtypes are always checked.
"""
_TENSORS = """\
        input: logits (C), (N, C) or (N, C, d1, ..., dK): float16, bfloat16, float32 or float64 (S5).
        target: class indices (), (N) or (N, d1, ..., dK) of any integer dtype (S6), or class probabilities of input's
            shape and any floating dtype (S7; values outside [0, 1] are allowed, and nothing warns of them here).
"""
_RESULT = """\
    Returns:
        The loss, of input's dtype; shape (), or under ``"none"`` that of class indices (S14).
"""
_RAISES = """\
    Raises:
        SpecTypeError, SpecValueError: an argument, shape or dtype that rules S1 to S8 refuse.
        SpecIndexError: a class index that they refuse (S6).
"""
LOSS = f"""Cross-entropy loss between logits and class indices or class probabilities (S1 to S14).

    Args:
{_ARGUMENTS}
    Called with:
{_TENSORS}
{_RESULT}
{_RAISES}
    Notes:
"""
FUNCTION = f"""Cross-entropy loss between logits and class indices or class probabilities (S1 to S14).

    Args:
{_TENSORS}{_ARGUMENTS}
{_RESULT}
{_RAISES}
    Notes:
"""


def describe(loss: Any, function: Any, *notes: str) -> None:
    """Gives the class `CrossEntropyLoss` and the function `cross_entropy` of a framework their docstrings."""
    items = [fill(note, 120, initial_indent="        - ", subsequent_indent="          ") for note in notes]
    text = "\n".join([*items, "    "])
    loss.__doc__, function.__doc__ = LOSS + text, FUNCTION + text
