"""`xent.adapters.torch.linear_cross_entropy` as an adapter."""

from linear_plugins import layer

from xent.adapters import Evaluation, phase
from xent.adapters.framework import framework
from xent.adapters.torch.ported import *  # noqa: F403  # an adapter is its module's names
from xent.adapters.torch.ported import as_array, as_tensor, to_native


def evaluate(spec, input, target, *, gradient):
    torch = framework("torch")
    from xent.adapters.torch import linear_cross_entropy

    arrays = layer.inputs("torch_layer", input, target)
    with phase("forward"):
        to_native(spec)  # refuses what the layer has no place to refuse
        weight = None if spec.weight is None else as_tensor(torch, spec.weight)
        rows, linear_weight, target = (as_tensor(torch, array) for array in arrays)
        result = linear_cross_entropy(
            rows.requires_grad_(gradient), linear_weight, target, weight=weight, reduction=spec.reduction,
            ignore_index=spec.ignore_index, label_smoothing=spec.label_smoothing,
        )  # fmt: skip
        value = as_array(torch, result)
    if not gradient:
        return Evaluation(value)
    with phase("backward"):
        (slope,) = torch.autograd.grad(result, rows, torch.ones_like(result))
        return Evaluation(value, layer.classes_second(as_array(torch, slope)))
