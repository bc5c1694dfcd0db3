"""The loss of logits that lie over the processes of a mesh: torch.distributed.tensor.DTensor.

Rows that are whole on a process are computed there as those of any tensor, and only sums travel. Where the classes of a
row lie on several processes (tensor parallelism), its largest logit, the sum of its exponentials and its loss travel as
well, never a logit. Either way the loss is that of the whole tensor: a mean divides by the number, or the weights, of
the rows that no process ignores.

All processes of the mesh make the call, and all of them raise what it raises.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from xent.adapters import checks
from xent.errors import SpecIndexError, SpecTypeError, SpecValueError
from xent.spec import CrossEntropySpec

from . import collectives, composed, context, portable, values
from .collectives import Groups, shared, summed
from .native import as_array
from .problem import Problem, Tensor, torch


class Layout(NamedTuple):
    """Where a tensor of logits lies.

    Attributes:
        mesh: the DeviceMesh.
        logits: the placements that the loss works on: Replicate or Shard.
        places: those of labels and of losses before reduction.
        rows: of the dimensions of the mesh that share out rows.
        classes: of those that share out classes.
        rest: of the others, which hold the same.
        held: the first class that this process holds, and how many.
    """

    mesh: Any
    logits: Tuple[Any, ...]
    places: Tuple[Any, ...]
    rows: Groups
    classes: Groups
    rest: Groups
    held: Tuple[int, int]

    @classmethod
    def of(cls, input: Any) -> Layout:
        """The layout for a DTensor of logits. Partial sums and shards in an order of their own count as Replicate."""
        tensor = torch.distributed.tensor
        mesh, axis = input.device_mesh, min(1, input.dim() - 1)
        logits: List[Any] = []
        places: List[Any] = []
        groups: Dict[str, List[Any]] = {"rows": [], "classes": [], "rest": []}
        start, count = 0, input.shape[axis]
        for dimension, placement in enumerate(input.placements):
            kind = "rest"
            logits.append(tensor.Replicate())
            places.append(tensor.Replicate())
            if type(placement) is tensor.Shard:
                dim = placement.dim % input.dim()
                kind, logits[-1] = "classes" if dim == axis else "rows", tensor.Shard(dim)
                if kind == "classes":  # shares as torch.chunk makes them
                    size = -(-count // mesh.size(dimension))
                    before = min(size * mesh.get_local_rank(dimension), count)
                    start, count = start + before, min(size, count - before)
                else:
                    places[-1] = tensor.Shard(max(0, dim - 1))
            if mesh.size(dimension) > 1:
                groups[kind].append(mesh.get_group(dimension))
        rows, classes, rest = map(tuple, groups.values())
        return cls(mesh, tuple(logits), tuple(places), rows, classes, rest, (start, count))

    @property
    def everyone(self) -> Groups:
        return self.rows + self.classes + self.rest

    def share(self, tensor: Tensor, placements: Tuple[Any, ...]) -> Tensor:
        """This process's share of a DTensor, or of a tensor that every process holds as a whole; differentiable."""
        distributed = torch.distributed.tensor
        if isinstance(tensor, distributed.DTensor) and tensor.device_mesh != self.mesh:
            tensor = tensor.full_tensor()
        if not isinstance(tensor, distributed.DTensor):
            everywhere = [distributed.Replicate()] * self.mesh.ndim
            tensor = distributed.DTensor.from_local(tensor, self.mesh, everywhere, run_check=False)
        if tuple(tensor.placements) != placements:
            tensor = tensor.redistribute(self.mesh, placements)
        local = tensor.to_local()
        return local if type(local) is torch.Tensor else local.clone()  # one that a message is still on its way to

    def whole(self, share: Tensor, placements: Tuple[Any, ...], shape: Tuple[int, ...]) -> Any:
        """The DTensor of that shape of which every process has its share."""
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        return torch.distributed.tensor.DTensor.from_local(
            share, self.mesh, placements, run_check=False, shape=torch.Size(shape), stride=tuple(strides)
        )


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
        values.expect_tensor("input", input)
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
    greatest = values.check_weight(weight) if weight is not None and looked else 1.0
    wrong, far = torch.zeros((), device=logits.device), False
    if not form.probabilities and goal.numel() > 0:
        own = goal.reshape(-1)
        labels = own.to(torch.int64)
        if looked:
            try:
                values.survey(own, labels, form.classes, spec.ignore_index, (len(own), form.classes))
            except SpecIndexError:
                wrong += 1
        else:
            wrong += ~values.in_range(values.masked(labels, spec.ignore_index).safe, form.classes).all()
    if looked:
        far = portable.is_far(values.spread(logits)[1], greatest, math.prod(shape))
    seen = collectives.largest(torch.stack([wrong, torch.full_like(wrong, far)]), layout.everyone)
    if not looked:
        torch._assert_async(seen[0] == 0, values.out_of_range(form.classes, spec.ignore_index))
        return False
    anywhere, far = seen.tolist()
    if anywhere:
        _refuse(goal, spec, form, layout, shape)
    return bool(far)


def _refuse(goal: Tensor, spec: CrossEntropySpec, form: checks.Form, layout: Layout, shape: Tuple[int, ...]) -> None:
    """Raises SpecIndexError with the place and the number of bad class indices in the whole target."""
    unsigned = str(goal.dtype) == "torch.uint64"
    labels = goal.view(torch.int64) if unsigned else goal.to(torch.int64)
    whole = layout.whole(labels, layout.places, form.places).full_tensor()
    checks.refuse_labels(shape, as_array(torch, whole.view(goal.dtype) if unsigned else whole), spec.ignore_index)
    clause = "torch-2.8/target-indices/range"  # only a process that should hold the same target holds another one
    message = f"{values.out_of_range(form.classes, spec.ignore_index)} in another process's copy of target"
    raise SpecIndexError(f"{message} (S6, {clause})", argument="target", received=message, rule="S6", clause=clause)


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
