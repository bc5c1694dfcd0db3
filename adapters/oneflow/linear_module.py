"""`linear_cross_entropy` with its layer: a module under the names of torch.nn.LinearCrossEntropyLoss (torch 2.13)."""

from __future__ import annotations

from typing import Any

from xent.adapters.framework import framework
from xent.adapters.portable import checks

from .linear import linear_cross_entropy
from .portable import check_weight, dtype_name

flow = framework("oneflow")


class LinearCrossEntropyLoss(flow.nn.Module):  # type: ignore[misc, name-defined]  # oneflow has no types
    """A linear layer and the cross entropy of its outputs, whose logits are never held (`linear_cross_entropy`).

    The layer is ``linear``, an oneflow.nn.Linear with its own initialisation: ``linear.weight`` (num_classes,
    in_features) and, with ``bias``, ``linear.bias`` (num_classes). ``weight`` is a buffer. So the state_dict has the
    names and shapes of torch's.

    Args:
        in_features: H, the size of each row of input.
        num_classes: C.
        bias: whether the layer has one.
        device, dtype: of the layer's parameters.
        reduction, weight, ignore_index, label_smoothing, validate: as for `CrossEntropyLoss`.

    Called with:
        input: (..., H).
        target: class indices (...), or class probabilities (..., C).

    Raises:
        SpecError: what S1 to S4 refuse, and a weight of another length than num_classes; at the call as the function.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        validate: bool = True,
    ) -> None:
        super().__init__()
        spec = checks.arguments(ignore_index, reduction, label_smoothing)
        if weight is not None:
            check_weight(weight)
            size, name = tuple(weight.shape), dtype_name(weight.dtype)
            checks.form_of((1, num_classes), "float32", (1,), "int64", size, name, -100)
        self.register_buffer("weight", weight)
        self.num_classes = num_classes
        self.reduction = spec.reduction
        self.ignore_index = spec.ignore_index
        self.label_smoothing = spec.label_smoothing
        self.validate = validate
        linear = flow.nn.Linear(in_features, num_classes, bias=bias)
        self.linear = linear if device is None and dtype is None else linear.to(device=device, dtype=dtype)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss; shapes, dtypes and errors are those of `linear_cross_entropy`."""
        return linear_cross_entropy(
            input,
            self.linear.weight,
            target,
            linear_bias=self.linear.bias,
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            validate=self.validate,
        )

    def extra_repr(self) -> str:
        """The arguments that the layer's own line doesn't show, for ``repr``."""
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"
