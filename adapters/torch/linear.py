"""The loss of a linear layer's outputs, chunk by chunk: the logits of all rows are never held at once."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from xent.adapters.framework import framework
from xent.adapters.portable import checks
from xent.adapters.portable.linear import renamed
from xent.spec import CrossEntropySpec

from . import composed, context, fused, portable, values
from .problem import Problem

torch: Any = framework("torch")
Tensor = Any

_CHUNK = 1 << 23  # logits that are held at a time: 32 MiB of float32
_LEAST_ROWS = 64  # fewer make the products with linear_weight read it more often than they compute


@renamed
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Optional[Tensor] = None,
    weight: Optional[Tensor] = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    validate: bool = True,
) -> Tensor:
    """``cross_entropy(input @ linear_weight.T + linear_bias, target, ...)`` without ever holding those logits.

    Logits and loss are computed in float32 (float64 for float64), whatever input's dtype. For ``"mean"`` and ``"sum"``
    the gradients come out of the same pass over the chunks; for ``"none"`` a second pass computes the logits again.
    torch.compile, torch.func, derivatives of derivatives, other devices, and gradients with respect to weight or class
    probabilities do hold the logits.

    Args:
        input: (..., H), what goes into the layer; any floating dtype.
        linear_weight: (C, H), the layer's weight.
        target: class indices of shape (...), or class probabilities (..., C).
        linear_bias: (C), the layer's bias, or None.
        weight, reduction, ignore_index, label_smoothing, validate: as for `cross_entropy`.

    Returns:
        The loss in input's dtype; shape () or, for ``"none"``, (...). Differentiable with respect to input,
        linear_weight and linear_bias.

    Raises:
        SpecError: what S1 to S8 refuse of these arguments and of logits (N, C), and shapes that don't fit each other.
        SpecTypeError: the old name of an argument beside the new one.

    The signature is that of torch.nn.functional.linear_cross_entropy (torch 2.13) without its options, since the logits
    always come in chunks, and with validate. Old names give a DeprecationWarning (`portable.linear`).
    """
    values.expect_tensors(
        ("weight", "linear_bias"),
        input=input, linear_weight=linear_weight, target=target, weight=weight, linear_bias=linear_bias,
    )  # fmt: skip
    places, classes = _shapes(input, linear_weight, linear_bias)
    rows, flat = input.reshape(-1, input.shape[-1]), _flat(target, places, classes)
    plain = context.plain(input, linear_weight, target, weight, linear_bias)
    recorded = plain and torch.is_grad_enabled()
    if not plain or rows.numel() == 0 or (recorded and _any_requires_grad(target, weight)):
        logits = _logits(rows, linear_weight, linear_bias, context.computed_in(input))
        arguments = (weight, ignore_index, reduction, label_smoothing)
        value = portable.cross_entropy(logits, flat, *arguments, validate=validate)
    else:
        spec = checks.arguments(ignore_index, reduction, label_smoothing)
        problem = _problem(rows, flat, weight, spec, classes, validate)
        if recorded and _any_requires_grad(input, linear_weight, linear_bias):
            value = _Linear.apply(rows, linear_weight, linear_bias, problem, reduction)
        else:
            value, _ = _run(rows, linear_weight, linear_bias, problem, reduction, (False, False, False))
    return value.reshape(places if reduction == "none" else ()).to(context.result_dtype(input))


def _shapes(input: Tensor, linear_weight: Tensor, linear_bias: Optional[Tensor]) -> Tuple[Any, int]:
    """(..., ) of input, and C. Raises SpecTypeError, SpecValueError."""
    width = input.shape[-1] if input.dim() else 0
    fits = linear_weight.dim() == 2 and linear_weight.shape[1] == width and input.dim() > 0
    if not fits or (linear_bias is not None and tuple(linear_bias.shape) != (linear_weight.shape[0],)):
        argument = "linear_bias" if fits else "linear_weight"
        form = "(C)" if fits else "(C, H) with input (..., H)"
        received = f"input {tuple(input.shape)}, linear_weight {tuple(linear_weight.shape)}"
        if linear_bias is not None:
            received += f", linear_bias {tuple(linear_bias.shape)}"
        shapes = tuple(input.shape), tuple(linear_weight.shape)
        raise checks.layer_error(argument, f"must have shape {form}", received, *shapes)
    checks.expect_floating("input", values.dtype_name(input))
    checks.expect_floating("linear_weight", values.dtype_name(linear_weight))
    return input.shape[:-1], linear_weight.shape[0]


def _flat(target: Tensor, places: Any, classes: int) -> Tensor:
    """Labels (N) or class probabilities (N, C). Raises SpecValueError."""
    probabilities = target.is_floating_point()
    expected = (*places, classes) if probabilities else tuple(places)
    if tuple(target.shape) != expected:
        raise checks.linear_target_error(tuple(places), classes, tuple(target.shape), probabilities)
    return target.reshape(-1, classes) if probabilities else target.reshape(-1)


def _any_requires_grad(*tensors: Optional[Tensor]) -> bool:
    return any(tensor is not None and tensor.requires_grad for tensor in tensors)


def _problem(
    rows: Tensor, target: Tensor, weight: Optional[Tensor], spec: CrossEntropySpec, classes: int, validate: bool
) -> Problem:
    """The problem of these rows' logits, checked. Raises SpecError."""
    like = rows.new_empty(()).expand(len(rows), classes)  # logits for the checks, without the memory
    form = values.form_of(like, target, weight, spec.ignore_index, cached=True)
    if weight is not None and validate:
        values.check_weight(weight)
    labels, some_ignored = portable.labels_of(target, spec, form, validate, like.shape)
    return portable.problem_of(like, target, labels, some_ignored, weight, spec)


def _run(
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Optional[Tensor],
    problem: Problem,
    reduction: str,
    wanted: Tuple[bool, bool, bool],
    upstream: Any = 1.0,
) -> Tuple[Tensor, Tuple[Optional[Tensor], ...]]:
    """The reduced loss and the gradients wanted of input, linear_weight and linear_bias, in the dtype of computation.

    Args:
        input: (N, H).
        upstream: the gradient of what follows with respect to the rows' losses: 1, or (N).
    """
    dtype = context.computed_in(input)
    gradient = any(wanted)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        narrow = linear_weight.to(dtype)
        offset = None if linear_bias is None else linear_bias.to(dtype)
        plan = fused.Plan.of(problem, input.shape[:1], reduction, dtype, upstream)
        each = torch.empty(input.shape[:1], dtype=dtype)
        likes: Any = (input, linear_weight, linear_bias)
        slopes = [torch.zeros(likes[i].shape, dtype=dtype) if wanted[i] else None for i in range(3)]
        step = max(_LEAST_ROWS, _CHUNK // problem.classes)
        buffer = torch.empty(min(step, len(input)), problem.classes, dtype=dtype)
        products = torch.empty(0, dtype=dtype)
        for start in range(0, len(input), step):
            some = slice(start, start + step)
            part = input[some].to(dtype)
            logits = torch.mm(part, narrow.t(), out=buffer[: len(part)])
            logits = logits if offset is None else logits.add_(offset)
            raw = plan.sweep((some,), logits, logits, gradient, products)
            losses, doubtful = plan.settled((some,), raw)
            if doubtful is not None:
                inside = doubtful.squeeze(1)
                again = torch.nn.functional.linear(part[inside], narrow, offset)
                losses64, rows = plan.mended((inside + start,), again, gradient)
                losses = losses.to(torch.float64)
                losses[inside] = losses64
                each = each.to(torch.float64)
                if gradient:
                    logits[inside] = rows.to(dtype)
            each[some] = losses
            _accumulate(slopes, some, logits, part, narrow)
    return plan.reduced(each), tuple(slopes)


def _accumulate(slopes: Any, some: slice, rows: Tensor, input: Tensor, linear_weight: Tensor) -> None:
    """Adds what these rows' gradient with respect to their logits means for input, linear_weight and linear_bias."""
    of_input, of_weight, of_bias = slopes
    if of_input is not None:
        torch.mm(rows, linear_weight, out=of_input[some])
    if of_weight is not None:
        of_weight.addmm_(rows.t(), input)
    if of_bias is not None:
        of_bias.add_(rows.sum(0))


class _Linear(torch.autograd.Function):  # type: ignore[misc]  # torch has no types where mypy runs
    """`_run`, differentiable."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, linear_weight: Tensor, linear_bias: Optional[Tensor], problem: Problem, reduction: str
    ) -> Tensor:
        """The value in the dtype of computation; the gradients too, where one number scales them later."""
        wanted = tuple(ctx.needs_input_grad[:3])
        now = wanted if reduction != "none" else (False, False, False)
        value, ctx.slopes = _run(input, linear_weight, linear_bias, problem, reduction, now)
        ctx.save_for_backward(input, linear_weight, linear_bias, *problem[:4])
        ctx.rest, ctx.reduction = problem[4:], reduction
        ctx.dtypes = tuple(None if tensor is None else tensor.dtype for tensor in (input, linear_weight, linear_bias))
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        """Gradients of input, linear_weight and linear_bias."""
        if torch.is_grad_enabled():
            return (*_differentiable(ctx, upstream), None, None)
        factor = 1.0
        if ctx.reduction == "none":
            input, linear_weight, linear_bias, *tensors = ctx.saved_tensors
            wanted = tuple(ctx.needs_input_grad[:3])
            problem = Problem(*tensors, *ctx.rest)
            upstream = upstream.to(context.computed_in(input))  # float64 where rows had to be mended
            _, slopes = _run(input, linear_weight, linear_bias, problem, "none", wanted, upstream)
        else:
            if ctx.slopes is None:
                ctx.saved_tensors  # noqa: B018  # raises torch's own error for a graph that is gone
            slopes, factor = ctx.slopes, upstream.item()
        again = ctx.reduction != "none" and fused.keeps_graph()
        if not again:
            ctx.slopes = None
        results = [None, None, None]
        for i, slope in enumerate(slopes):
            if slope is not None:
                slope = slope * factor if again else slope if factor == 1 else slope.mul_(factor)
                results[i] = slope.to(ctx.dtypes[i])
        return (*results, None, None)


def _differentiable(ctx: Any, upstream: Tensor) -> Tuple[Optional[Tensor], ...]:
    """The gradients as functions that autograd can differentiate again."""
    input, linear_weight, linear_bias, *others = ctx.saved_tensors
    wanted = ctx.needs_input_grad[:3]
    tensors = (input, linear_weight, linear_bias)
    inputs = [tensors[i] for i in range(3) if wanted[i]]
    with torch.enable_grad():
        logits = _logits(input, linear_weight, linear_bias, upstream.dtype)
        problem = Problem(*others, *ctx.rest).to(upstream.dtype)
        value = composed.reduced(composed.losses(logits, problem), problem, ctx.reduction)
        slopes = iter(torch.autograd.grad(value, inputs, upstream, create_graph=True))
    return tuple(next(slopes) if want else None for want in wanted)


def _logits(input: Tensor, linear_weight: Tensor, linear_bias: Optional[Tensor], dtype: Any) -> Tensor:
    """All of them, (N, C), in that dtype."""
    with torch.autocast(input.device.type, enabled=False):
        offset = None if linear_bias is None else linear_bias.to(dtype)
        return torch.nn.functional.linear(input.to(dtype), linear_weight.to(dtype), offset)
