"""Loss and gradient in one sweep: chunks of rows that stay in the cache, the gradient written in place of the softmax.

torch's own loss keeps the log-softmax of all rows for its backward pass and then allocates two more tensors of that
size. Here the gradient of the reduced loss is the only one, and the logits are read from memory once.

With d = x - max x, s = sum exp(d), p = exp(d) / s and a the coefficients of -log p (S9 to S11), a row's loss is
``W log s - sum a d``, W = sum a, and its gradient ``p W - a``. Rows where that gives nan or an infinity are computed
again, one by one, by `composed`, in float64.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Iterator, NamedTuple, Optional, Tuple

from . import composed, pages
from .problem import Problem, Tensor, divisor, torch, with_classes

_CHUNK = 1 << 22  # elements: 16 MiB of float32; smaller ones wait for the other threads more often than they gain
SOFTMAX_CLASSES = 64  # classes from which on torch's softmax kernels beat their parts
_SURE = 69.0  # losses above it belong to probabilities that have lost digits to underflow


class Outcome(NamedTuple):
    """The reduced loss in the dtype of computation and, where asked for, its gradient with respect to the logits.

    Without reduction the gradient is that of each row's own loss.
    """

    value: Tensor
    gradient: Optional[Tensor]


def run(x: Tensor, problem: Problem, reduction: str, gradient: bool) -> Outcome:
    """The loss of logits on the CPU.

    Args:
        x: (N, C) or (N, C, S), N, C, S > 0, no gradient recorded; float16 and bfloat16 are computed in float32.
        problem: weight in the dtype of computation, probabilities in any.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        gradient: whether to compute it.
    """
    dtype = torch.float64 if x.dtype is torch.float64 else torch.float32
    places = x.shape[:1] + x.shape[2:]
    plan = Plan.of(problem, places, reduction, dtype)
    if plan.compute is _picked and x.dim() == 2 and problem.classes >= SOFTMAX_CLASSES:
        plan = plan._replace(compute=_direct)
    slope = pages.empty_like(x, dtype) if gradient else None
    scratch, products = torch.empty(0, dtype=dtype), torch.empty(0, dtype=dtype)
    size = _CHUNK if problem.probabilities is None else _CHUNK // 2  # which brings two more tensors of that size
    if x.numel() <= size:
        logits = x if x.dtype is dtype else x.to(dtype)
        out = scratch.resize_(x.shape) if slope is None else slope
        each = plan.sweep(None, logits, out, gradient, products)
    else:
        each = torch.empty(places, dtype=dtype)
        for index in chunks(places, problem.classes, size):
            logits = x[with_classes(index)].to(dtype)
            out = scratch.resize_(logits.shape) if slope is None else slope[with_classes(index)]
            each[index] = plan.sweep(index, logits, out, gradient, products)
    each, doubtful = plan.settled(None, each)
    if doubtful is not None:
        each = each.to(torch.float64)
        for some in doubtful.split(max(1, _CHUNK // problem.classes)):
            rows = some.unbind(1)
            each[rows], slopes = plan.mended(rows, x[with_classes(rows)], gradient)
            if slope is not None:
                slope[with_classes(rows)] = slopes.to(dtype)
    return Outcome(plan.reduced(each), slope)


class Plan(NamedTuple):
    """How the rows of a call are computed and reduced.

    Attributes:
        problem: weight in the dtype of computation, probabilities in any.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        below: what the sum is divided by: 1 but for the mean.
        weights: of each row's label, where they aren't part of the coefficients; None for ones.
        scale: what each row's gradient is multiplied with, a number or a tensor of the labels' shape.
        factors: the same with weights, 0 where ignored.
        compute: the function of a chunk.
    """

    problem: Problem
    reduction: str
    below: float
    weights: Tensor
    scale: Any
    factors: Any
    compute: Callable[..., Tensor]

    @classmethod
    def of(cls, problem: Problem, places: Any, reduction: str, dtype: Any, upstream: Any = 1.0) -> Plan:
        """The plan for rows of that shape.

        Args:
            dtype: of computation.
            upstream: the gradient of what follows with respect to the rows' losses: 1, or a tensor of their shape.
        """
        ignored = problem.ignored
        weights = problem.weights()
        below = 1.0
        if reduction == "mean":
            below = float(divisor(problem, weights, places.numel(), torch.float64))
        scale: Any = upstream / below if below else math.inf
        compute: Callable[..., Tensor] = _spread
        if problem.labels is not None:
            compute = _smoothed if problem.smoothing else _picked
        if compute is not _picked or problem.weight is None:
            weights = None  # counted already, or part of the coefficients
        factors = scale if weights is None else weights * scale
        if ignored is not None:
            # 0 also where a mean over nothing makes the others infinite or nan.
            factors = torch.as_tensor(factors, dtype=dtype).expand(places).masked_fill(ignored, 0)
        return cls(problem, reduction, below, weights, scale, factors, compute)

    def sweep(self, index: Any, x: Tensor, out: Tensor, gradient: bool, products: Tensor) -> Tensor:
        """Losses of the rows at this index, still to be settled; their gradients go to `out`, which may be x.

        Args:
            index: as `Problem.at` takes it; None for all rows.
        """
        factor = None
        if gradient:
            factor = self.factors
            if not isinstance(factor, float):
                factor = (factor if index is None else factor[index]).unsqueeze(1)
        return self.compute(x, out, self.problem if index is None else self.problem.at(index), factor, products)

    def settled(self, index: Any, losses: Tensor) -> Tuple[Tensor, Tensor]:
        """Losses with their weights, 0 where ignored; and where rows must be mended, ignored ones included.

        Args:
            index: as for `sweep`.

        Returns:
            Losses, and the places of doubtful ones as `torch.Tensor.nonzero` lists them; None where there is none.
        """
        sure = _SURE if self.compute is _direct else torch.finfo(losses.dtype).max
        low, high = losses.aminmax()  # a nan comes out as nan
        doubtful = None
        if not (low.item() >= -sure and high.item() <= sure):
            doubtful = (~(losses.abs() <= sure)).nonzero()
        if self.weights is not None:
            losses = losses * (self.weights if index is None else self.weights[index])
        ignored = self.problem.ignored
        if ignored is not None:
            losses = losses.masked_fill(ignored if index is None else ignored[index], 0)
        return losses, doubtful

    def mended(self, index: Tuple[Tensor, ...], x: Tensor, gradient: bool) -> Tuple[Tensor, Any]:
        """Losses and gradients of the rows at this index again, by `composed`, in float64. x: their logits (B, C)."""
        x = x.to(torch.float64).requires_grad_(gradient)
        part = self.problem.at(index).to(torch.float64)
        with torch.enable_grad():
            losses = composed.losses(x, part)
            total = losses.sum()
        if not gradient:
            return losses, None
        (rows,) = torch.autograd.grad(total, x)
        scale = self.scale if isinstance(self.scale, float) else self.scale[index]
        if self.problem.ignored is not None:
            scale = torch.as_tensor(scale, dtype=rows.dtype).masked_fill(self.problem.ignored[index], 0)
        return losses.detach(), rows.mul_(scale if isinstance(scale, float) else scale.unsqueeze(1))

    def reduced(self, each: Tensor) -> Tensor:
        """The losses of all rows as the plan reduces them."""
        if self.reduction == "none":
            return each
        total = each.sum()
        if not math.isfinite(total.item()):
            total = each.sum(dtype=torch.float64)  # the mean may be finite although the sum is not
        return total / self.below if self.reduction == "mean" else total


def chunks(places: Any, classes: int, size: int) -> Iterator[Tuple[slice, ...]]:
    """Slices of the labels' dimensions, together all of them."""
    span = places[1] if len(places) > 1 else 1
    step = max(1, size // (classes * span))
    if step > 1 or span == 1:
        for start in range(0, places[0], step):
            rows = slice(start, start + step)
            yield (rows, slice(None)) if len(places) > 1 else (rows,)
        return
    step = max(1, size // classes)
    for row in range(places[0]):
        for start in range(0, span, step):
            yield slice(row, row + 1), slice(start, start + step)


def _direct(x: Tensor, out: Tensor, part: Problem, factor: Any, _: Tensor) -> Tensor:
    """-log p of the labels by torch's softmax kernel, classes last; out: factor (p - 1 at the label)."""
    torch.softmax(x, 1, out=out)
    labels = part.labels.unsqueeze(1)
    p = out.gather(1, labels)
    if factor is not None:
        if not (isinstance(factor, float) and factor == 1):
            out.mul_(factor)
        _take_off(out, labels, factor)
    return p.log_().neg_().squeeze(1)


def _picked(x: Tensor, out: Tensor, part: Problem, factor: Any, _: Tensor) -> Tensor:
    """The same from the softmax's parts, which beats its kernel where classes are few or not last."""
    torch.sub(x, x.amax(1, keepdim=True), out=out)
    labels = part.labels.unsqueeze(1)
    shift = out.gather(1, labels)
    total = out.exp_().sum(1, keepdim=True)
    if factor is not None:
        out.mul_(factor / total)
        _take_off(out, labels, factor)
    return total.log_().sub_(shift).squeeze(1)


def _smoothed(x: Tensor, out: Tensor, part: Problem, factor: Any, products: Tensor) -> Tensor:
    """W log s - sum a d for labels with smoothing; out: factor (p W - a)."""
    normal = x.dim() == 2 and x.shape[1] >= SOFTMAX_CLASSES and out is not x  # whether out holds log p rather than d
    if normal:
        torch.log_softmax(x, 1, out=out)
    else:
        torch.sub(x, x.amax(1, keepdim=True), out=out)
    share, labels = part.smoothing / part.classes, part.labels.unsqueeze(1)
    own, whole, along = 1 - part.smoothing, 1.0, part.along(x)
    if along is not None:
        own = own * part.weight.take(labels)
        whole = own + share * along.sum()
    shift = out.gather(1, labels)
    shifts = (out if along is None else torch.mul(out, along, out=products.resize_(out.shape))).sum(1, keepdim=True)
    losses = -own * shift - share * shifts
    if factor is not None or not normal:
        out.exp_()
    slope = None if factor is None else factor * whole
    if not normal:
        total = out.sum(1, keepdim=True)
        losses = losses + whole * total.log()
        slope = None if slope is None else slope / total
    if isinstance(slope, float):
        torch.add(torch.tensor(-factor * share, dtype=out.dtype), out, alpha=slope, out=out)  # in one pass
    elif slope is not None:
        out.mul_(slope)
        if along is None:
            out.sub_(factor * share)
        else:
            out.addcmul_(torch.as_tensor(factor, dtype=out.dtype), along, value=-share)
    if factor is not None:
        _take_off(out, labels, factor * own)
    return losses.squeeze(1)


def _spread(x: Tensor, out: Tensor, part: Problem, factor: Any, products: Tensor) -> Tensor:
    """W log s - sum a d for class probabilities; out: factor (p W - a)."""
    torch.sub(x, x.amax(1, keepdim=True), out=out)
    coefficients, along = part.probabilities.to(out.dtype), part.along(x)
    if part.smoothing:
        coefficients = coefficients * (1 - part.smoothing) + part.smoothing / part.classes
    if along is not None:
        coefficients = coefficients * along
    whole = coefficients.sum(1, keepdim=True)
    shifts = torch.mul(out, coefficients, out=products.resize_(out.shape)).sum(1, keepdim=True)
    total = out.exp_().sum(1, keepdim=True)
    if factor is not None:
        out.mul_(factor * whole / total)
        if isinstance(factor, float):
            out.sub_(coefficients, alpha=factor)
        else:
            out.sub_(torch.mul(coefficients, factor, out=products))
    return (whole * total.log_() - shifts).squeeze(1)


def _take_off(out: Tensor, labels: Tensor, amount: Any) -> None:
    """Subtracts an amount, a number or a tensor of the labels' shape, at the labels."""
    if isinstance(amount, float):
        out.scatter_add_(1, labels, torch.full(labels.shape, -amount, dtype=out.dtype))
    else:
        out.scatter_add_(1, labels, -amount)


class Fused(torch.autograd.Function):  # type: ignore[misc]  # torch has no types where mypy runs
    """`run`, differentiable; derivatives of derivatives go through `composed`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, problem: Problem, reduction: str) -> Tensor:
        """Value in the dtype of computation. `x` requires a gradient."""
        value, ctx.slope = run(x, problem, reduction, True)
        ctx.save_for_backward(x, *problem[:4])
        ctx.rest, ctx.reduction, ctx.dtype = problem[4:], reduction, x.dtype
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        """The gradient of x alone."""
        if torch.is_grad_enabled() or ctx.slope is None:
            return _differentiable(ctx, upstream), None, None
        slope, again = ctx.slope, keeps_graph()
        if not again:
            ctx.slope = None  # nobody else sees it: scaled in place, and the leaf may keep it
        if not any(upstream.stride()):
            number = upstream.reshape(-1)[0].item()  # one number for all rows
            upstream = None if number == 1 else number
        elif slope.dim() > 1:
            upstream = upstream.unsqueeze(1)
        if upstream is None:
            result = slope.clone() if again and slope.dtype == ctx.dtype else slope
        else:
            result = slope * upstream if again else slope.mul_(upstream)
        return result.to(ctx.dtype), None, None


def _differentiable(ctx: Any, upstream: Tensor) -> Tensor:
    """The gradient as a function that autograd can differentiate again; torch's own error where the graph is gone."""
    x, *tensors = ctx.saved_tensors
    with torch.enable_grad():
        wide = x.to(upstream.dtype)
        problem = Problem(*tensors, *ctx.rest).to(upstream.dtype)
        value = composed.reduced(composed.losses(wide, problem), problem, ctx.reduction)
        return torch.autograd.grad(value, x, upstream, create_graph=torch.is_grad_enabled())[0]


# Whether this backward pass was asked to keep the graph for another one; torch before 2.5 doesn't tell.
keeps_graph = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)
