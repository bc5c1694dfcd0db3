"""What the Ascend kernels under mint.nn.CrossEntropyLoss promise, in NumPy: the arithmetic of the stand-ins.

Sources: MindSpore's bindings (``kernel/ascend/aclnn/pyboost_impl/customize``: log_softmax_ext, nllloss, nllloss_2d),
its bprop of NLLLoss and NLLLoss2d (``grad_nn_ops.cc``), and the published CANN operators that they launch (ops-nn,
``loss/nll_loss``: the documents of aclnnNLLLoss and aclnnNLLLoss2d, their parameter checks, the kernel).

Everything is computed in float64 and rounded once to the dtype that the kernel returns. float64 itself is no dtype of
the Ascend kernels; it is computed here too, since MindSpore on a CPU takes it and mint's own code runs the same.
"""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

from xent.dtypes import Array
from xent.errors import Unavailable

DTYPES = ("float16", "float32", "float64")
_INDICES = ("int32", "int64", "uint8")


def log_softmax(input: Array, axis: int) -> Array:
    """aclnnLogSoftmax: ``log(exp(x) / sum(exp(x)))`` along an axis, input's shape and dtype.

    A -inf logit among finite ones gives -inf; a +inf or nan logit, or -inf alone, makes its row nan.
    """
    wide = input.astype(np.float64)
    with np.errstate(all="ignore"):
        shifted = wide - wide.max(axis, keepdims=True, initial=-np.inf)
        result = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
        return np.asarray(result.astype(input.dtype))


def log_softmax_gradient(output: Array, slope: Array, axis: int) -> Array:
    """LogSoftmaxGrad: from the output as ROUNDED to its dtype, since MindSpore hands on no more than that."""
    wide = slope.astype(np.float64)
    with np.errstate(all="ignore"):
        result = wide - np.exp(output.astype(np.float64)) * wide.sum(axis, keepdims=True)
        return np.asarray(result.astype(output.dtype))


def nll_loss(input: Array, target: Array, weight: Array, reduction: str, ignore_index: int) -> Tuple[Array, Array]:
    """aclnnNLLLoss and aclnnNLLLoss2d: the loss and the total weight, both of input's dtype.

    A row is ``-weight[t] * input[t]`` by IEEE rules (weight 0 on -inf is nan), 0 where t is ignore_index, whose class
    is never read. ``mean`` divides by the total weight, 0/0 included; nothing at all gives mean nan and sum 0.

    Args:
        input: log-probabilities, shape (C), (N, C) or (N, C, H, W).
        target: class indices, shape (), (N) or (N, H, W): int32, int64 or uint8.
        weight: shape (C), input's dtype.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        ignore_index: the class index of rows that count nothing.

    Raises:
        RuntimeError: what the operators' parameter checks refuse (ACLNN_ERR_PARAM_INVALID).
        Unavailable: a class index outside [0, C). The documents give [0, C - 1] as the range of target and say no
            more; the kernel source has an ASSERT there, which does nothing in a release build, and then reads past
            the row. Nothing that a stand-in could return would be evidence.
    """
    _check(input, target, weight)
    ignored, scale, at = _rows(input, target, weight, ignore_index)
    picked = np.take_along_axis(_batched(input), at, axis=1)[:, 0].astype(np.float64)
    with np.errstate(all="ignore"):
        losses = np.where(ignored, 0.0, -scale * picked)
        total = scale.sum()
        result = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total}[reduction]
        result = result.reshape(target.shape) if reduction == "none" else result
        return np.asarray(result).astype(input.dtype), np.asarray(total).astype(input.dtype)


def nll_loss_gradient(
    input: Array, target: Array, weight: Array, reduction: str, ignore_index: int, total: Array, slope: Array
) -> Array:
    """aclnnNLLLossBackward and aclnnNLLLoss2dBackward: with respect to input, exactly 0 where a row is ignored.

    Args:
        total: the total weight that the forward pass returned, rounded to input's dtype as MindSpore hands it on.
        slope: the gradient of the result, its shape.
    """
    ignored, scale, at = _rows(input, target, weight, ignore_index)
    wide = slope.astype(np.float64).reshape(ignored.shape if reduction == "none" else ())
    gradient = np.zeros_like(_batched(input), dtype=np.float64)
    with np.errstate(all="ignore"):
        rows = -wide * scale / (total.astype(np.float64) if reduction == "mean" else 1.0)
        np.put_along_axis(gradient, at, np.where(ignored, 0.0, rows)[:, None], axis=1)
        return np.asarray(gradient.reshape(input.shape).astype(input.dtype))


def _batched(input: Array) -> Array:
    return input[None] if input.ndim == 1 else input


def _rows(input: Array, target: Array, weight: Array, ignore_index: int) -> Tuple[Array, Array, Any]:
    """Where rows are ignored, each row's weight (0 there) and the place of its class, an axis of 1 for the class."""
    indices = target.astype(np.int64)
    indices = indices[None] if input.ndim == 1 else indices
    ignored = indices == ignore_index
    if ((indices < 0) | (indices >= weight.size))[~ignored].any():
        wrong = indices[~ignored & ((indices < 0) | (indices >= weight.size))].flat[0]
        reason = f"the class index {wrong} lies outside [0, {weight.size}), where the Ascend kernel promises nothing"
        raise Unavailable("mint", reason, "Run the case on an Ascend device.")
    read = np.where(ignored, 0, indices)
    scale = np.where(ignored, 0.0, weight.astype(np.float64)[read]) if weight.size else np.zeros(indices.shape)
    return ignored, scale, read[:, None]


def _check(input: Array, target: Array, weight: Array) -> None:
    """The operators' own parameter checks, as far as mint's code lets such parameters through."""
    classes = input.shape[min(1, input.ndim - 1)]
    rows = () if input.ndim == 1 else input.shape[:1] + input.shape[2:]
    problem = ""
    if weight.dtype != input.dtype:
        problem = f"weight must have self's dtype {input.dtype}, got {weight.dtype}"
    elif weight.shape != (classes,):
        problem = f"weight must be defined for all {classes} classes, got shape {weight.shape}"
    elif target.dtype.name not in _INDICES:
        problem = f"target must be {', '.join(_INDICES)}, got {target.dtype}"
    elif target.shape != rows:
        problem = f"target must have shape {rows} for self {input.shape}, got {target.shape}"
    if problem:
        operator = "aclnnNLLLoss2d" if input.ndim == 4 else "aclnnNLLLoss"
        raise RuntimeError(f"{operator} (stand-in): ACLNN_ERR_PARAM_INVALID, {problem}")
