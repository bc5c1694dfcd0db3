"""`xent.adapters.mindspore.linear_cross_entropy` as an adapter."""

from linear_plugins import layer

from xent.adapters import Evaluation, phase
from xent.adapters.framework import framework
from xent.adapters.mindspore.ported import *  # noqa: F403  # an adapter is its module's names
from xent.adapters.mindspore.ported import as_array, as_tensor, to_native


def evaluate(spec, input, target, *, gradient):
    mindspore = framework("mindspore")
    from xent.adapters.mindspore import linear_cross_entropy

    arrays = layer.inputs("mindspore_layer", input, target)
    with phase("forward"):
        to_native(spec)  # refuses what the layer has no place to refuse
        weight = None if spec.weight is None else as_tensor(mindspore, spec.weight)
        rows, linear_weight, target = (as_tensor(mindspore, array) for array in arrays)

        def forward(rows):
            return linear_cross_entropy(
                rows, linear_weight, target, weight=weight, reduction=spec.reduction, ignore_index=spec.ignore_index,
                label_smoothing=spec.label_smoothing,
            )  # fmt: skip

        if not gradient:
            return Evaluation(as_array(mindspore, forward(rows)))
        value, slope = mindspore.value_and_grad(forward, 0)(rows)
        return Evaluation(as_array(mindspore, value), layer.classes_second(as_array(mindspore, slope)))
