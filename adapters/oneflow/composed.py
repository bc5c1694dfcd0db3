"""The kernel for small calls: oneflow's own differentiable operators in float64, where its log_softmax is precise.

A small call costs what its operators cost to start. An autograd.Function adds some 100 µs to that, and starting
oneflow's float32 kernels, which are oneDNN's, about as much again (measured, 0.9.0); float64 adds two casts. These
operators keep to the rules wherever all logits are finite and every class index is in range. Reading the class indices
of a small call takes 25 µs, less than two operators, and meanwhile the logits are under way.

What comes out can be differentiated as often as oneflow's operators can.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from .problem import added, finite, flow, ops

SMALL = 1 << 13  # elements up to which this is the fastest kernel (measured: about equal at 1024 x 10)


def composed(x: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float) -> Optional[Any]:
    """The reduced loss in float64; None where the rules ask for more care. Waits for the device.

    Args:
        x: logits (N, C) or (N, C, L), nowhere empty.
        target: class indices, int64, (N) or (N, L); or class probabilities in x's shape.
        weight: (C), or None.
        ignore_index, reduction, smoothing: the loss's arguments.
    """
    probabilities = target.is_floating_point()
    ignored = 0 if probabilities else _ignored(target, x.shape[1], ignore_index)
    if ignored is None or ignored == target.numel():
        return None
    wide = x.to(flow.float64)
    # Every row that counts shows in the loss, an ignored one only in the sum of the logits.
    size = added(wide.detach()) if ignored else None
    weight = None if weight is None else weight.detach().to(flow.float64)
    if smoothing and not probabilities and (ignored or weight is not None):
        loss = ops.cross_entropy(wide, target, weight, ignore_index, reduction, smoothing)
    else:
        log_p = ops.log_softmax(wide, 1)
        if probabilities:
            loss = _dense(log_p, _coefficients(target, weight, reduction, smoothing), reduction)
        elif smoothing:
            loss = _dense(log_p, _smooth(target, log_p, reduction, smoothing), reduction)
        elif reduction == "mean" and weight is None:
            share = ops.constant((x.shape[1],), 1 / (target.numel() - ignored), dtype=flow.float64, device=x.device)
            loss = ops.nll_loss(log_p, target, share, ignore_index, "sum")
        else:
            loss = ops.nll_loss(log_p, target, weight, ignore_index, reduction)
    total = loss.detach() if loss.ndim == 0 else added(loss.detach())
    return loss if finite(total) and (size is None or finite(size)) else None


def _ignored(target: Any, classes: int, ignore_index: int) -> Optional[int]:
    """How many class indices are ignored; None where another one is out of range."""
    indices = target.numpy()
    if not 0 <= ignore_index < classes and indices.min() >= 0 and indices.max() < classes:
        return 0
    ignored = indices == ignore_index
    fine = ignored | ((indices >= 0) & (indices < classes))
    return int(np.count_nonzero(ignored)) if fine.all() else None


def _coefficients(target: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    """What log p of each class is multiplied by, in target's shape; the mean's divisor included."""
    a = target.to(flow.float64)
    if smoothing:
        a = ops.add(ops.mul(a, 1 - smoothing), smoothing / a.shape[1])
    if weight is not None:
        a = ops.mul(a, weight.reshape(-1, 1) if a.ndim == 3 else weight)
    return ops.mul(a, _scale(a, reduction))


def _smooth(target: Any, log_p: Any, reduction: str, smoothing: float) -> Any:
    """`_coefficients` for class indices of equal weight, none of them ignored."""
    scale, column = _scale(log_p, reduction), target.unsqueeze(1)
    a = ops.constant(log_p.shape, scale * smoothing / log_p.shape[1], dtype=log_p.dtype, device=log_p.device)
    chosen = ops.constant(column.shape, scale * (1 - smoothing), dtype=log_p.dtype, device=log_p.device)
    return ops.scatter_add(a, 1, column, chosen)


def _scale(t: Any, reduction: str) -> float:
    return -t.shape[1] / t.numel() if reduction == "mean" else -1.0


def _dense(log_p: Any, coefficients: Any, reduction: str) -> Any:
    axes = [1] if reduction == "none" else list(range(log_p.ndim))
    return ops.reduce_sum(ops.mul(log_p, coefficients), axes, False)
