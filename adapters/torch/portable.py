"""The loss with the specification's semantics (S1 to S14, our answers to O1 to O3), made of torch's own operators.

Four ways to compute it, and nothing but time and memory depends on the choice:

- where it is the fastest (`native_first`), torch.nn.functional.cross_entropy, if its answer is known to be right:
  finite, and where a gradient will be asked for with none but finite logits in ignored rows;
- large ones on the CPU to `fused`: loss and gradient in one sweep, one tensor of the logits' size;
- logits that lie over several processes to `distributed`, which computes the rows of each by one of the others;
- everything else to `composed`: torch.compile, torch.func, forward-mode derivatives, other devices, gradients with
  respect to weight or class probabilities, and what the first way gives up on.

float16 and bfloat16 are computed in float32 and rounded once. Under autocast they give a float32 result, as torch's own
loss does.
"""

from __future__ import annotations

import math
from typing import Any, Optional, Tuple

from xent.adapters.framework import framework
from xent.adapters.portable import checks, docs
from xent.spec import CrossEntropySpec

from . import composed, context, fused, values
from .native import as_weight
from .problem import Problem

torch: Any = framework("torch")
Tensor = Any

_SMALL = 1 << 14  # logits up to which `composed` does what torch's own loss gives up on
_HUGE = 1e37  # what sums of weights and of losses must stay below in float32


class CrossEntropyLoss(torch.nn.CrossEntropyLoss):  # type: ignore[misc]  # torch has no types where mypy runs
    def __init__(
        self,
        weight: Optional[Tensor] = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        validate: bool = True,
        size_average: Optional[bool] = None,
        reduce: Optional[bool] = None,
    ) -> None:
        if weight is not None:
            values.expect_tensors(weight=weight)
        spec = CrossEntropySpec.from_legacy(
            size_average=size_average,
            reduce=reduce,
            weight=None if weight is None or weight.is_meta else as_weight(context.whole(weight)),
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        super().__init__(weight, None, spec.ignore_index, None, spec.reduction, spec.label_smoothing)
        self.validate = validate

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss; shapes, dtypes and errors are those of `cross_entropy`."""
        return cross_entropy(
            input,
            target,
            self.weight,
            self.ignore_index,
            self.reduction,
            self.label_smoothing,
            validate=self.validate,
        )


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor] = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    validate: bool = True,
    size_average: Optional[bool] = None,
    reduce: Optional[bool] = None,
) -> Tensor:
    if size_average is not None or reduce is not None:
        reduction = CrossEntropySpec.from_legacy(size_average=size_average, reduce=reduce).reduction
    if not context.plain(input, target, weight):
        if context.distributed(input, target, weight):
            from . import distributed

            return distributed.cross_entropy(
                input, target, weight, (ignore_index, reduction, label_smoothing), validate
            )
        return _traced(input, target, weight, (ignore_index, reduction, label_smoothing), validate)
    spec = checks.arguments(ignore_index, reduction, label_smoothing)
    form = values.form_of(input, target, weight, spec.ignore_index, cached=True)
    largest = values.check_weight(weight) if weight is not None and validate else 1.0
    recorded = torch.is_grad_enabled()
    slope = recorded and input.requires_grad
    if native_first(input, slope, weight is not None):
        value = _native(input, target, weight, spec, form, slope, largest, validate)
        if value is not None:
            return value
    labels, some_ignored = labels_of(target, spec, form, validate, input.shape)
    small = 0 < input.numel() <= _SMALL
    x, places = input, target
    if input.dim() != 2:
        classes_last = input.dim() > 2 and not input.is_contiguous() and input.movedim(1, -1).is_contiguous()
        x, places = arranged(input, classes_last), arranged(target, classes_last) if labels is None else target
    problem = problem_of(x, places, labels, some_ignored, weight, spec)
    if small or input.numel() == 0 or (recorded and any(t is not None and t.requires_grad for t in (target, weight))):
        closed, spread = values.spread(x)
        # Where torch's own loss came out as nan or an infinity, float64 tells what is truly one from an overflow.
        far = small or is_far(spread, largest, input.numel())
        wide = torch.float64 if far else context.computed_in(input)
        problem = problem.to(wide)
        value = composed.reduced(composed.losses(x.to(wide), problem, closed), problem, spec.reduction)
    elif slope:
        value = fused.Fused.apply(x, problem, spec.reduction)
    else:
        with torch.no_grad():
            value = fused.run(x, problem, spec.reduction, False).value
    return value.reshape(form.places if spec.reduction == "none" else ()).to(context.result_dtype(input))


docs.describe(
    CrossEntropyLoss,
    cross_entropy,
    "Differentiable any number of times with respect to input, class probabilities and weight.",
    "The module is a torch.nn.CrossEntropyLoss to whoever asks, with the same buffer `weight` and the same state_dict.",
    "size_average, reduce: torch's deprecated arguments, which override `reduction` as they do in torch.",
    "Where looking at values would wait for a device, or can't be traced, a class index out of range fails torch's"
    " asynchronous assertion, a RuntimeError; without `validate` whatever torch's kernels do about it happens.",
    "float16 and bfloat16 are computed in float32 and rounded once.",
    "A DTensor of logits, of any placements, inside loss_parallel() or not, gives the loss of the whole tensor, with"
    " target and weight as DTensors or as tensors that every process holds as a whole: a DTensor on the same mesh,"
    ' Replicate for "mean" and "sum", for "none" sharded like the rows. Every process of the mesh makes the call, and'
    " a class index out of range that one of them holds is refused on all. torch.compile breaks its graph there.",
)


def labels_of(
    target: Tensor, spec: CrossEntropySpec, form: checks.Form, validate: bool, shape: Any
) -> Tuple[Optional[Tensor], bool]:
    """Class indices as int64, and whether some may be ignored; None for class probabilities. Raises SpecIndexError.

    Args:
        shape: of the logits.
    """
    if form.probabilities:
        return None, False
    labels = target if target.dtype is torch.int64 else target.to(torch.int64)
    if labels.numel() == 0 or not validate:
        return labels, True
    return labels, values.survey(target, labels, form.classes, spec.ignore_index, shape)


def problem_of(
    x: Tensor,
    target: Tensor,
    labels: Optional[Tensor],
    some_ignored: bool,
    weight: Optional[Tensor],
    spec: CrossEntropySpec,
) -> Problem:
    """The problem of logits (N, C) or (N, C, S); target counts where labels is None, and has the shape of x then."""
    ignored = None
    if labels is not None:
        labels = labels.reshape(x.shape[:1] + x.shape[2:])
        if some_ignored:
            labels, ignored = values.masked(labels, spec.ignore_index)
    return Problem(
        labels=labels,
        ignored=ignored,
        probabilities=target if labels is None else None,
        weight=None if weight is None else weight.to(context.computed_in(x)),
        smoothing=spec.label_smoothing,
        classes=x.shape[1],
    )


def is_far(spread: float, largest: float, count: int) -> bool:
    """Whether sums over so many logits may overflow float32.

    Args:
        spread: the greatest distance between two of them.
        largest: the largest magnitude of a weight.
    """
    return not max(1.0, spread) * max(1.0, largest) * count < _HUGE


def native_first(input: Tensor, slope: bool, marked: bool) -> bool:
    """Whether torch's own loss is the fastest for these logits (measured, 2.13.0, two cores).

    `fused` allocates and reads less, but starts more operators and has more that do something for each row: it pays
    from 2^22 logits on (2^23 with more dimensions), and where there will be a gradient from 2^18, unless there are few
    classes. Rows of fewer than 16 torch's softmax computes number by number.

    Args:
        slope: whether the gradient of input will be asked for.
        marked: whether the rows are weighted.
    """
    rows = input.dim() == 2
    classes = input.shape[1] if input.dim() > 1 else input.numel()
    if classes < 8 and marked:
        limit = 1 << 19 if rows else 1 << 26
    elif classes < 16 and rows:
        limit = 1 << 15
    elif slope and not (rows and classes < fused.SOFTMAX_CLASSES):
        limit = 1 << 18
    else:
        limit = 1 << 22 if rows else 1 << 23
    return bool(0 < input.numel() <= limit)


def _native(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor],
    spec: CrossEntropySpec,
    form: checks.Form,
    slope: bool,
    largest: float,
    validate: bool,
) -> Optional[Tensor]:
    """torch's own loss; None where its answer may not be the specification's, and for gradients of weight.

    Class indices out of range are its kernel's to find. What it gets wrong in a finite loss is the gradient of ignored
    rows, into which it lets nan: of such a row every log p is nan.

    Args:
        slope: whether the gradient of input will be asked for.
        largest: the largest magnitude of a weight.
        validate: whether class indices of another dtype are looked at before they become int64.
    """
    if weight is not None and (weight.requires_grad or not largest * input.numel() < _HUGE):
        return None
    wide = input.float() if input.dtype in context.HALVES else input
    goal = target.to(wide.dtype if form.probabilities else torch.int64)
    if validate and goal is not target and not form.probabilities and target.numel() > 0:
        values.survey(target, goal, form.classes, spec.ignore_index, input.shape)  # what became another number
    if weight is not None:
        weight = weight.to(wide.dtype)
    rest = (None, spec.ignore_index, None, spec.reduction)
    doubted = slope and not form.probabilities
    if doubted and goal.numel() <= values.FEW:
        doubted = spec.ignore_index in goal.reshape(-1).tolist()
    try:
        if doubted and not spec.label_smoothing:
            dim = 1 if input.dim() > 1 else 0
            log_p = torch.log_softmax(wide, dim)
            if math.isnan(log_p.detach().select(dim, 0).sum().item()):
                return None
            value = torch.nn.functional.nll_loss(log_p, goal, weight, *rest)
        else:
            value = torch.nn.functional.cross_entropy(wide, goal, weight, *rest, spec.label_smoothing)
    except IndexError:
        return None
    seen = value.detach()
    if not math.isfinite((seen if seen.dim() == 0 else seen.sum()).item()):
        nothing = spec.reduction == "mean" and not form.probabilities and bool((goal == spec.ignore_index).all())
        if not nothing:  # nan is right (S12), and so is the gradient
            return None
    if doubted and spec.label_smoothing and not math.isfinite(wide.detach().sum().item()):
        return None
    return value if wide is input else value.to(context.result_dtype(input))


def _traced(
    input: Tensor, target: Tensor, weight: Optional[Tensor], arguments: Tuple[Any, Any, Any], validate: bool
) -> Tensor:
    """`composed`, without a branch on a value."""
    spec = CrossEntropySpec(None, *arguments)
    form = values.form_of(input, target, weight, spec.ignore_index, cached=False)
    x = arranged(input, False)
    labels = None if form.probabilities else target.to(torch.int64)
    problem = problem_of(x, arranged(target, False) if labels is None else target, labels, True, weight, spec)
    if validate and problem.labels is not None:
        values.assert_in_range(target, problem.labels, form.classes, spec.ignore_index, context.is_compiling())
    wide = context.computed_in(input)
    problem = problem.to(wide)
    value = composed.reduced(composed.losses(x.to(wide), problem), problem, spec.reduction)
    return value.reshape(form.places if spec.reduction == "none" else ()).to(context.result_dtype(input))


def arranged(tensor: Tensor, classes_last: bool) -> Tensor:
    """(C), (N, C) or (N, C, d1, ..., dK) as (N, C) or (N, C, S), as (N*S, C) where classes are last in memory."""
    if tensor.dim() < 3:
        return tensor if tensor.dim() == 2 else tensor.unsqueeze(0)
    return tensor.movedim(1, -1).flatten(0, -2) if classes_last else tensor.flatten(2)
