"""S9 to S14 in mint's operators, class by class: right for every logit, weight and probability, and not made for speed.

It serves where nothing faster may be used: under MindSpore's compiler, where no value can be looked at; in PyNative for
the rows that the fused kernels get wrong (fused.py); and on Ascend, where mint's operators are the native ones. The
compiler reads this source, so it keeps to the Python that MindSpore's parser knows.

Every function takes rows: input (R, C), class indices (R,) int64, weight (C,), all of the dtype of computation.
"""

from __future__ import annotations

from typing import Any

from ..framework import framework

mindspore = framework("mindspore")
mint = mindspore.mint
INF = float("inf")
NAN = float("nan")


def as_rows(tensor: Any) -> Any:
    """(C), (N, C) or (N, C, d1, ..., dK) as (R, C)."""
    if tensor.ndim == 1:
        return tensor.reshape(1, -1)
    if tensor.ndim == 2:
        return tensor
    classes = tensor.shape[1]
    return mint.permute(tensor.reshape(tensor.shape[0], classes, -1), (0, 2, 1)).reshape(-1, classes)


def like_input(rows: Any, input: Any) -> Any:
    """(R, C) in the shape of input."""
    if input.ndim <= 2:
        return rows.reshape(input.shape)
    return mint.permute(rows.reshape(input.shape[0], -1, input.shape[1]), (0, 2, 1)).reshape(input.shape)


def index_coefficients(target: Any, weight: Any, ignore_index: int, kept: Any, spread: Any, classes: Any) -> Any:
    """What multiplies each -log p_c (S9, S11), what the mean divides by, and the rows that count nothing or are wrong.

    Args:
        target: (R,) class indices.
        weight: (C,), or None for ones.
        kept, spread: 1 - label_smoothing and label_smoothing / C, shape (). A Python number would reach a float64
            kernel as a float32 (measured, 2.10.0).
        classes: (C,) the numbers 0 to C - 1, of target's dtype.

    Returns:
        (R, C) coefficients; (R, 1) w[y]; (R, 1) ignored; (R, 1) neither ignored nor in [0, C).
    """
    column = target.reshape(-1, 1)
    ignored = mint.eq(column, ignore_index)
    selected = mint.logical_not(ignored)
    picked = mint.logical_and(mint.eq(column, classes), selected)
    wrong = mint.logical_and(mint.logical_not(mint.any(picked, 1, True)), selected)
    scales = picked.to(kept.dtype)
    coefficients = scales * kept + selected.to(kept.dtype) * spread
    if weight is not None:
        scales = scales * weight
        coefficients = coefficients * weight
    return coefficients, mint.sum(scales, 1, True), ignored, wrong


def probability_coefficients(target: Any, weight: Any, kept: Any, spread: Any) -> Any:
    """What multiplies each -log p_c (S10, S11): (R, C)."""
    coefficients = target * kept + spread
    if weight is not None:
        coefficients = coefficients * weight
    return coefficients


def losses(input: Any, coefficients: Any) -> Any:
    """Row by row, with the gradient with respect to input, and -log p.

    A coefficient of 0 takes a -inf logit out (O1); a +inf or nan logit, or nothing but -inf, makes the row nan (S13).

    Returns:
        (R, 1) losses, (R, C) gradients, (R, C) -log p.
    """
    finite = mint.isfinite(input)
    known = mint.logical_or(finite, mint.eq(input, -INF))
    poisoned = mint.logical_not(mint.logical_and(mint.all(known, 1, True), mint.any(finite, 1, True)))
    clean = mint.where(finite, input, -INF)
    peak = mint.where(poisoned, 0.0, mint.max(clean, 1, True)[0])
    below = peak - clean
    shares = mint.exp(-below)
    total = mint.sum(shares, 1, True)
    surprise = mint.where(poisoned, NAN, below + mint.log(total))
    terms = mint.where(mint.eq(coefficients, 0.0), 0.0, coefficients * surprise)
    loss = mint.where(poisoned, NAN, mint.sum(terms, 1, True))
    gradient = shares / total * mint.sum(coefficients, 1, True) - coefficients
    return loss, mint.where(poisoned, NAN, gradient), surprise


def reduced(loss: Any, divisor: Any, reduction: str) -> Any:
    """The result, and what every row's gradient is to be multiplied with: nan where the mean divides by 0.

    Args:
        loss: (R, 1).
        divisor: (R, 1) what each row adds to the mean's divisor.
    """
    if reduction == "none":
        return loss.reshape(-1), 1.0
    if reduction == "sum":
        return mint.sum(loss), 1.0
    total = mint.sum(divisor)
    nothing = mint.eq(mint.sum(mint.abs(divisor)), 0.0)
    return mint.where(nothing, NAN, mint.sum(loss) / total), mint.where(mint.eq(total, 0.0), NAN, 1.0 / total)


def composed(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, kept: Any, spread: Any, classes: Any
) -> Any:
    """The whole loss of class indices, or of class probabilities where `classes` is None.

    A class index outside [0, C) that is not ignore_index makes its row nan, and so the mean and the sum: under a
    compiler and with validate=False nothing can be raised, and nothing wrong may pass for a loss.

    Args:
        input: any shape that S5 allows, of the dtype of computation.
        target: its class indices (int64), or its class probabilities, of the dtype of computation.
        classes: (C,) the numbers 0 to C - 1 as int64; None with class probabilities.

    Returns:
        The result, in the dtype of computation; its gradients with respect to input and, of probabilities, to target,
        in input's shape, row by row where reduction is none.
    """
    rows = as_rows(input)
    if classes is not None:
        coefficients, divisor, ignored, wrong = index_coefficients(
            target.reshape(-1), weight, ignore_index, kept, spread, classes
        )
        loss, gradient, _ = losses(rows, coefficients)
        loss = mint.where(ignored, 0.0, mint.where(wrong, NAN, loss))
        value, factor = reduced(loss, divisor, reduction)
        slope = mint.where(ignored, 0.0, mint.where(wrong, NAN, gradient * factor))
        return value, like_input(slope, input), None
    loss, gradient, surprise = losses(rows, probability_coefficients(as_rows(target), weight, kept, spread))
    value, factor = reduced(loss, mint.isfinite(loss).to(input.dtype) * 0.0 + 1.0, reduction)
    slope = target_gradient(surprise, weight, kept)
    return value, like_input(gradient * factor, input), like_input(slope * factor, input)


def target_gradient(surprise: Any, weight: Any, kept: Any) -> Any:
    """(R, C) of each row's loss with respect to class probabilities, from -log p."""
    factor = kept if weight is None else kept * weight
    return mint.where(mint.eq(factor, 0.0), 0.0, surprise * factor)


def joined(parts: Any) -> Any:
    """Tensors (R, ...) one below the other; a single one as it is."""
    return parts[0] if len(parts) == 1 else mint.concat(parts, 0)
