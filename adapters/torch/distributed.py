"""The loss of logits that lie over the processes of a mesh: torch.distributed.tensor.DTensor.

Rows that are whole on a process are computed there as those of any tensor, and only sums travel. Where the classes of a
row lie on several processes (tensor parallelism), its largest logit, the sum of its exponentials and its loss travel as
well, never a logit. Either way the loss is that of the whole tensor: a mean divides by the number, or the weights, of
the rows that no process ignores.

All processes of the mesh make the call, and all of them raise what it raises.
"""

from __future__ import annotations

import math
from typing import Any, Optional, Tuple

from xent.adapters.portable import checks
from xent.errors import SpecError, SpecIndexError, SpecTypeError, SpecValueError
from xent.spec import CrossEntropySpec

from . import collectives, composed, context, portable, values
from .collectives import Groups, shared, summed
from .meshes import Layout
from .native import as_array
from .problem import Problem, Tensor, torch


def _cross_entropy(input: Any, target: Any, weight: Any, arguments: Tuple[Any, Any, Any], validate: bool) -> Any:
    """`portable.cross_entropy` where one of the tensors is a DTensor.

    Args:
        input: a DTensor of any placements.
        target: a DTensor of any placements, or a tensor that every process holds as a whole.
        weight: the same, or None.
        arguments: ignore_index, reduction, label_smoothing.

    Returns:
        A DTensor on input's mesh: Replicate for mean and sum, sharded like input's rows for none.

    Raises:
        SpecError: what S1 to S8 refuse, on every process of the mesh.
    """
    spec = checks.arguments(*arguments)
    form = _form(input, target, weight, spec)
    layout = Layout.of(input)
    logits = layout.share(input, layout.logits)
    goal = layout.share(target, layout.logits if form.probabilities else layout.places)
    if isinstance(weight, torch.distributed.tensor.DTensor):
        weight = weight.full_tensor()
    wide = context.computed_in(input)
    if validate and _checked(logits, goal, weight, spec, form, layout, tuple(input.shape)):
        wide = torch.float64
    logits = logits.to(wide)
    weight = None if weight is None else shared(weight.to(wide), layout.rows)
    value, below = _rows(logits, goal, weight, spec, form, layout, validate)
    if spec.reduction == "none":
        places = logits.shape[:1] + logits.shape[2:] if logits.dim() > 1 else ()
        return layout.whole(value.reshape(places).to(context.result_dtype(input)), layout.places, form.places)
    total = summed(value.to(torch.float64), layout.rows)
    total = total if below is None else total / below
    everywhere = (torch.distributed.tensor.Replicate(),) * layout.mesh.ndim
    return layout.whole(total.to(context.result_dtype(input)), everywhere, ())


# torch.compile breaks its graph here: what the processes tell each other decides what is computed.
cross_entropy: Any = torch.compiler.disable(_cross_entropy)


def _form(input: Any, target: Any, weight: Any, spec: CrossEntropySpec) -> checks.Form:
    """The form of the whole tensors. Raises SpecTypeError, SpecValueError."""
    distributed = torch.distributed.tensor.DTensor
    if not isinstance(input, distributed):
        values.expect_tensors(input=input)
        clause = "torch-2.8/input/shape"
        message = (
            "input must be a DTensor where target or weight is one: DTensor.from_local(input, mesh, placements);"
            f" got a plain tensor of shape {tuple(input.shape)} (S5, {clause})"
        )
        received = f"a plain tensor of shape {tuple(input.shape)}"
        raise SpecTypeError(message, argument="input", received=received, rule="S5", clause=clause)
    try:
        return values.form_of(input, target, weight, spec.ignore_index, cached=True)
    except SpecValueError as error:
        if error.argument != "target" or isinstance(target, distributed):
            raise
        message = (
            f"{error}; a plain tensor counts as the whole target, the same on every process: give a process's own share"
            " as DTensor.from_local(target, mesh, placements)"
        )
        raise SpecValueError(
            message, argument=error.argument, received=error.received, rule=error.rule, clause=error.clause
        ) from None


def _checked(
    logits: Tensor,
    goal: Tensor,
    weight: Optional[Tensor],
    spec: CrossEntropySpec,
    form: checks.Form,
    layout: Layout,
    shape: Tuple[int, ...],
) -> bool:
    """Whether some process's numbers may overflow float32. Raises SpecError on every process where one sees why.

    Args:
        logits, goal: this process's shares.
        weight: the whole.
        shape: of the whole input.
    """
    looked = logits.device.type == "cpu"
    refusal: Optional[SpecError] = None
    far, wrong = False, logits.new_zeros((), dtype=torch.float64)
    if looked:
        try:
            greatest = values.check_weight(weight) if weight is not None else 1.0
            far = portable.is_far(values.spread(logits)[1], greatest, math.prod(shape))
            if not form.probabilities and goal.numel() > 0:
                own = goal.reshape(-1)
                values.survey(own, own.to(torch.int64), form.classes, spec.ignore_index, (len(own), form.classes))
        except SpecError as error:  # kept until all processes know
            refusal, wrong = error, wrong + 1
    elif not form.probabilities:
        safe = values.masked(goal.to(torch.int64), spec.ignore_index).safe
        wrong = wrong + ~values.in_range(safe, form.classes).all()
    count = math.prod(shape)
    told = torch.stack([wrong, *wrong.new_tensor([far, count, -count])])
    told = collectives.largest(told, layout.everyone)
    if not looked:
        torch._assert_async(told[0] == 0, values.out_of_range(form.classes, spec.ignore_index))
        return False
    anywhere, far, most, least = told.tolist()
    if anywhere:
        if not form.probabilities and most == -least:  # else the processes disagree about the shape of the whole
            _refuse_labels(goal, spec, form, layout, shape)
        raise refusal or _others_refusal()
    return bool(far)


def _refuse_labels(
    goal: Tensor, spec: CrossEntropySpec, form: checks.Form, layout: Layout, shape: Tuple[int, ...]
) -> None:
    """Raises SpecIndexError with the place and the number of bad class indices in the whole target, if there are."""
    unsigned = str(goal.dtype) == "torch.uint64"
    labels = goal.view(torch.int64) if unsigned else goal.to(torch.int64)
    whole = layout.whole(labels, layout.places, form.places).full_tensor()
    checks.refuse_labels(shape, as_array(torch, whole.view(goal.dtype) if unsigned else whole), spec.ignore_index)


def _others_refusal() -> SpecError:
    """For what this process itself would not refuse."""
    clause = "torch-2.8/target-indices/range"
    message = "target or weight hold numbers on another process of the mesh that it refuses; its own error says which"
    return SpecIndexError(f"{message} (S6, S1, {clause})", argument="target", received="", rule="S6", clause=clause)


def _rows(
    logits: Tensor,
    goal: Tensor,
    weight: Optional[Tensor],
    spec: CrossEntropySpec,
    form: checks.Form,
    layout: Layout,
    validate: bool,
) -> Tuple[Tensor, Optional[Tensor]]:
    """The losses of this process's rows, added where they are reduced, and what a mean divides the sum of all by."""
    x = portable.arranged(logits, False)
    labels = None if form.probabilities else goal.to(torch.int64)
    problem = portable.problem_of(
        x, portable.arranged(goal, False) if labels is None else goal, labels, True, weight, spec
    )
    problem = problem._replace(classes=form.classes).to(x.dtype)
    below = _divisor(problem, x, layout) if spec.reduction == "mean" else None
    reduction = "none" if spec.reduction == "none" else "sum"
    usual = below is None or 0 < abs(below.item()) < math.inf
    if usual and not layout.classes and logits.device.type == "cpu":
        arguments = spec.ignore_index, reduction, spec.label_smoothing
        return portable.cross_entropy(logits, goal, weight, *arguments, validate=validate), below
    each = _over_classes(x, problem, layout) if layout.classes else composed.losses(x, problem)
    if reduction == "none":
        return each, below
    value = each.sum(dtype=torch.float64)
    if below is not None and weight is not None:
        value = value + composed.nothing(weight)
    return value, below


def _divisor(problem: Problem, x: Tensor, layout: Layout) -> Tensor:
    """What the mean over all processes' rows divides by (S9 to S12), 0-d and float64: nan where nothing is selected."""
    weights = problem.weights()
    if weights is None:
        rows = x.shape[:1] + x.shape[2:]
        return summed(torch.tensor(float(math.prod(rows)), dtype=torch.float64, device=x.device), layout.rows)
    total = weights.sum(dtype=torch.float64)
    if problem.weight is None:
        return summed(total, layout.rows)
    some = (weights.detach() != 0).any().to(torch.float64)
    total, some = summed(torch.stack([total, some]), layout.rows).unbind()
    return total.masked_fill(some == 0, float("nan"))


def _over_classes(x: Tensor, problem: Problem, layout: Layout) -> Tensor:
    """`composed.losses` where x is this process's classes of its rows.

    What every process must take part in going backward hangs on the result, also where it holds no class.
    """
    if problem.ignored is not None:
        x = x.masked_fill(problem.ignored.unsqueeze(1), 0)
    log_p, level = _log_softmax(x, layout.classes)
    weight = None if problem.weight is None else shared(problem.weight, layout.classes)
    start, count = layout.held
    if count == 0:
        each = log_p.sum(1)
        each = each if weight is None else each + composed.nothing(weight)
        each = each if problem.probabilities is None else each + problem.probabilities.sum(1)
        return summed(each, layout.classes)
    part, elsewhere = problem._replace(weight=None if weight is None else weight[start : start + count]), None
    if problem.labels is not None:
        labels = problem.labels - start
        elsewhere = (labels < 0) | (labels >= count)
        part = part._replace(labels=labels.clamp(0, count - 1))
    return summed(composed.of_log_p(log_p, level, part, True, elsewhere), layout.classes)


def _log_softmax(x: Tensor, classes: Groups) -> Tuple[Tensor, Tensor]:
    """The logarithms of the softmax over the classes of all these processes, at x's own, (N, C') or (N, C', S); and
    those of its denominators."""
    top = x.detach().amax(1) if x.shape[1] else x.detach().new_full(x.shape[:1] + x.shape[2:], -math.inf)
    distance = x - collectives.largest(top, classes).unsqueeze(1)
    total = summed(distance.exp().sum(1), classes)
    level = shared(total.log(), classes)
    return distance - level.unsqueeze(1), level
