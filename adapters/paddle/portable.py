"""The portable loss for Paddle: the specification's semantics (S1 to S14) by Paddle's own differentiable operators.

- What has a number for each class is computed in float32, or float64 for float64 logits; what has one for each row
  always in float64. float16 and bfloat16 are so computed in float32 and rounded once.
- A sum over classes that isn't finite in float32 is made again in float64, with care for classes of probability 0:
  neither is a large finite logit an infinity (S13), nor 0 times one a nan (O1).
- Paddle's own softmax and log_softmax cut logits off 64 below the largest (measured, 3.3.1 on CPU): neither is used.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

from xent.adapters.framework import framework
from xent.adapters.portable import checks, docs
from xent.spec import CrossEntropySpec

from .native import as_array
from .operators import cast, eager, exp, product, scalar

paddle: Any = framework("paddle")
Tensor = Any


class CrossEntropyLoss(paddle.nn.Layer):  # type: ignore[misc]  # Paddle has no types where mypy runs
    def __init__(
        self,
        weight: Optional[Tensor] = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        validate: bool = True,
    ) -> None:
        super().__init__()
        spec = checks.arguments(ignore_index, reduction, label_smoothing)
        _check_weight(weight)
        if isinstance(weight, paddle.base.framework.EagerParamBase):
            self.weight = weight  # a parameter here too, as it is to Paddle's own loss
        else:
            self.register_buffer("weight", weight, persistable=False)  # Paddle's own loss has no state either
        self.ignore_index = spec.ignore_index
        self.reduction = spec.reduction
        self.label_smoothing = spec.label_smoothing
        self.validate = validate

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of these logits and this target."""
        spec = checks.arguments(self.ignore_index, self.reduction, self.label_smoothing)
        return _loss(input, target, self.weight, spec, self.validate)

    def extra_repr(self) -> str:
        """The arguments, for ``repr``."""
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor] = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    validate: bool = True,
) -> Tensor:
    spec = checks.arguments(ignore_index, reduction, label_smoothing)
    if validate:
        _check_weight(weight)
    elif weight is not None:
        _expect_tensor("weight", weight)
    return _loss(input, target, weight, spec, validate)


docs.describe(
    CrossEntropyLoss,
    cross_entropy,
    "Differentiable any number of times with respect to input, class probabilities and weight.",
    "The layer's weight is a buffer that its state_dict leaves out.",
    "In a static graph no value can be looked at: there, and without `validate`, a row whose class index is out of"
    " range comes out as nan, value and gradient.",
    "float16 and bfloat16 are computed in float32 or wider and rounded once. But in a static graph on a CPU Paddle's"
    " own cast makes some 1e-5 of what is around 1e-25 in a float16 gradient.",
)


def _expect_tensor(argument: str, value: Any) -> None:
    if not isinstance(value, (paddle.Tensor, paddle.pir.Value, paddle.static.Variable)):
        raise checks.kind_error(argument, value, "paddle.Tensor", "paddle.to_tensor")


def _name(dtype: Any) -> str:
    """``"float32"``."""
    return str(dtype).split(".")[-1].lower()


def _check_weight(weight: Optional[Tensor]) -> None:
    """Raises the SpecError of S1 for what can't be a weight, whatever the input."""
    if weight is None:
        return
    _expect_tensor("weight", weight)
    shape = tuple(weight.shape)
    checks.form_of((1, *shape), "float32", (1,), "int64", shape, _name(weight.dtype), -100)
    if eager() and not weight.astype("float64").isfinite().all().item():
        checks.refuse_weight(as_array(paddle, weight))


def _loss(input: Tensor, target: Tensor, weight: Optional[Tensor], spec: CrossEntropySpec, validate: bool) -> Tensor:
    _expect_tensor("input", input)
    _expect_tensor("target", target)
    form = checks.cached_form_of(
        tuple(input.shape),
        _name(input.dtype),
        tuple(target.shape),
        _name(target.dtype),
        None if weight is None else tuple(weight.shape),
        None if weight is None else _name(weight.dtype),
        spec.ignore_index,
    )
    x = cast(_rows(input, form.classes), paddle.float64 if input.dtype == paddle.float64 else paddle.float32)
    weight = None if weight is None else cast(weight, paddle.float64)
    if form.probabilities:
        each, divisor = _of_probabilities(x, _rows(target, form.classes), weight, spec.label_smoothing)
    else:
        labels = target.astype("int64").reshape([-1])
        known = (labels >= 0) & (labels < form.classes) | (labels == spec.ignore_index)
        if validate and eager():
            if not known.all().item():
                checks.refuse_labels(tuple(input.shape), target.numpy(), spec.ignore_index)
            known = None
        each, divisor = _of_indices(x, labels, known, weight, spec)
    if spec.reduction == "none":
        return cast(each.reshape(form.places), input.dtype)
    total = each.sum()
    return cast(total / divisor if spec.reduction == "mean" else total, input.dtype)


def _rows(tensor: Tensor, classes: int) -> Tensor:
    """(C), (N, C) or (N, C, d1, ..., dK) as (R, C)."""
    return (tensor.moveaxis(1, -1) if tensor.ndim > 2 else tensor).reshape([-1, classes])


def _of_probabilities(x: Tensor, y: Tensor, weight: Optional[Tensor], smoothing: float) -> Tuple[Tensor, Tensor]:
    """(R) float64: the losses of these class probabilities (S10, S11), and what their mean divides by."""

    def coefficients(dtype: Any) -> Tensor:
        c = cast(y, dtype)
        if smoothing:
            c = c * scalar(1 - smoothing, dtype) + scalar(smoothing / y.shape[1], dtype)
        return c if weight is None else c * cast(weight, dtype)

    top, z, log_s = _shifted(x)
    each = _over_classes(x, top, z, log_s, coefficients)
    return each, paddle.ones_like(each).sum()


def _of_indices(
    x: Tensor, labels: Tensor, known: Tensor, weight: Optional[Tensor], spec: CrossEntropySpec
) -> Tuple[Tensor, Tensor]:
    """(R) float64: the losses of these class indices (S9, S11, S12), and what their mean divides by.

    Args:
        known: which labels are ignored or in range; None where all are.
    """
    classes, smoothing = x.shape[1], spec.label_smoothing
    ignored = labels == spec.ignore_index
    if eager() and not ignored.any().item():
        ignored = None
    safe = labels
    if known is not None:
        safe = safe.masked_fill(~known, 0)
    if ignored is not None:
        safe = safe.masked_fill(ignored, 0)
        x = x.masked_fill(ignored.unsqueeze(1), 0.0)  # whatever stands there, its gradient is exactly 0
    if weight is not None and spec.reduction == "mean":
        weight = weight / weight.detach().abs().max()  # the mean is the same, and its products don't underflow
    chosen = paddle.ones_like(safe, "float64") if weight is None else paddle.gather(weight, safe)
    if ignored is not None:
        chosen = chosen.masked_fill(ignored, 0.0)

    top, z, log_s = _shifted(x)
    gap = log_s + (top.squeeze(1).astype("float64") - _picked(x, safe).astype("float64"))
    each = product(chosen * scalar(1 - smoothing, paddle.float64) if smoothing else chosen, gap)
    if smoothing:
        share = scalar(smoothing / classes, paddle.float64)
        share = share.expand([classes]) if weight is None else weight * share
        each = each + _over_classes(x, top, z, log_s, lambda dtype: cast(share, dtype))
        if ignored is not None:
            each = each.masked_fill(ignored, 0.0)
    if known is not None:
        each = each * paddle.ones_like(each).masked_fill(~known, float("nan"))
    divisor = chosen.sum()
    if weight is not None or ignored is not None:
        divisor = divisor.masked_fill((chosen.abs() <= 0).all(), float("nan"))
    return each, divisor


def _picked(x: Tensor, safe: Tensor) -> Tensor:
    """(R): of each row the logit of its class."""
    if not eager():  # the number of rows may be unknown
        return paddle.take_along_axis(x, safe.unsqueeze(1), 1).squeeze(1)
    places = paddle.arange(x.shape[0], dtype="int64") * x.shape[1] + safe
    return paddle.gather(x.reshape([-1]), places)  # a twentieth of the time that take_along_axis needs


def _shifted(x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """The largest logit of each row (R, 1), what the logits lie below it, and log sum exp of that, (R) in float64."""
    top = x.detach().max(1, keepdim=True)
    z = x - top
    return top, z, exp(z, top).sum(1).astype("float64").log()


def _over_classes(x: Tensor, top: Tensor, z: Tensor, log_s: Tensor, coefficients: Callable[[Any], Tensor]) -> Tensor:
    """(R) float64: the sum over classes of -c log p, for coefficients (R, C) or (C) made in a dtype."""
    c = coefficients(x.dtype)
    plain = c.sum(-1).astype("float64") * log_s - (c * z).sum(-1).astype("float64")
    if eager() and plain.isfinite().all().item():
        return plain
    c, z = coefficients(paddle.float64), x.astype("float64") - top.astype("float64")
    return c.sum(-1) * log_s - product(c.expand_as(z), z).sum(-1)
