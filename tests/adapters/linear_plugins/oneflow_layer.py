"""`xent.adapters.oneflow.linear_cross_entropy` as an adapter, in chunks however few the logits are."""

from linear_plugins import layer

from xent.adapters import Evaluation, phase
from xent.adapters.framework import framework
from xent.adapters.oneflow.native import as_array
from xent.adapters.oneflow.ported import *  # noqa: F403  # an adapter is its module's names
from xent.adapters.oneflow.ported import as_tensor, to_native


def evaluate(spec, input, target, *, gradient):
    oneflow = framework("oneflow")
    from xent.adapters.oneflow import linear

    linear._SMALL, linear._CHUNK = 0, 64
    arrays = layer.inputs("oneflow_layer", input, target)
    with phase("forward"):
        to_native(spec)  # refuses what the layer has no place to refuse
        weight = None if spec.weight is None else as_tensor(oneflow, spec.weight)
        rows, linear_weight, target = (as_tensor(oneflow, array) for array in arrays)
        result = linear.linear_cross_entropy(
            rows.requires_grad_(gradient), linear_weight, target, weight=weight, reduction=spec.reduction,
            ignore_index=spec.ignore_index, label_smoothing=spec.label_smoothing,
        )  # fmt: skip
        value = as_array(oneflow, result)
    if not gradient:
        return Evaluation(value)
    with phase("backward"):
        (slope,) = oneflow.autograd.grad(result, rows, oneflow.ones_like(result))
        return Evaluation(value, layer.classes_second(as_array(oneflow, slope)))
