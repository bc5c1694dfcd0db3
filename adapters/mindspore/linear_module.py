"""`linear_cross_entropy` with its layer: a Cell under the names of torch.nn.LinearCrossEntropyLoss (torch 2.13)."""

from __future__ import annotations

from typing import Any

from xent.adapters.portable import checks

from ..framework import framework
from .linear import linear_cross_entropy
from .portable import check_weight, dtype_name

mindspore = framework("mindspore")
Cell: Any = mindspore.nn.Cell


class LinearCrossEntropyLoss(Cell):  # type: ignore[misc]  # MindSpore has no types
    """A linear layer and the cross entropy of its outputs, whose logits are never held in PyNative
    (`linear_cross_entropy`).

    The layer is ``linear``, a mindspore.nn.Dense with its own initialisation: ``linear.weight`` (num_classes,
    in_features) and, with ``bias``, ``linear.bias`` (num_classes). ``weight`` is a parameter that is saved in a
    checkpoint and not trained. So the parameters have the names and shapes of torch's state_dict.

    Args:
        in_features: H, the size of each row of input.
        num_classes: C.
        bias: whether the layer has one.
        dtype: of the layer's parameters; None for float32. There is no device: the context has it.
        reduction, weight, ignore_index, label_smoothing, validate: as for `CrossEntropyLoss`.

    Called with:
        input: (..., H), of the layer's dtype.
        target: class indices (...), or class probabilities (..., C).

    Raises:
        SpecError: what S1 to S4 refuse, and a weight of another length than num_classes; at the call as the function.
    """

    # A static method, because mindspore.rewrite (automatic mixed precision, level O1) does not look into these.
    _loss = staticmethod(linear_cross_entropy)

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        bias: bool = False,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        validate: bool = True,
    ) -> None:
        super().__init__()
        spec = checks.arguments(ignore_index, reduction, label_smoothing)
        self.weight = None
        if weight is not None:
            check_weight(weight)
            checks.form_of((1, num_classes), "float32", (1,), "int64", weight.shape, dtype_name(weight), -100)
            self.weight = mindspore.Parameter(mindspore.Tensor(weight), name="weight", requires_grad=False)
        self.num_classes = num_classes
        self.reduction = spec.reduction
        self.ignore_index = spec.ignore_index
        self.label_smoothing = spec.label_smoothing
        self.validate = validate
        self.linear = mindspore.nn.Dense(in_features, num_classes, has_bias=bias, dtype=dtype or mindspore.float32)

    def construct(self, input: Any, target: Any) -> Any:
        return self._loss(
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

    def extend_repr(self) -> str:
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"
