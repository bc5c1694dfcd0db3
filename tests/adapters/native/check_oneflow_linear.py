"""The chunks of oneflow's linear loss: together they are the whole, and never all there. nn.Graph gives the same."""

from __future__ import annotations

import itertools

import numpy as np
import oneflow
from adapter_checks import run, same
from check_linear import Loss, tensor

from xent.adapters.oneflow import cross_entropy, linear, linear_cross_entropy

RANDOM = np.random.RandomState(8)
KEPT = linear._SMALL, linear._CHUNK


def normal(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def both(call, arrays, dtype):
    """The loss and the gradients of what it is called with, times 1, 2, 3, ... a row."""
    leaves = [tensor(array.astype(dtype)).requires_grad_() for array in arrays]
    loss = call(*leaves)
    upstream = tensor(np.arange(1.0, 1 + loss.numel()).reshape(tuple(loss.shape)).astype(dtype))
    return [one.numpy() for one in (loss, *oneflow.autograd.grad(loss, leaves, upstream))]


def chunks_are_the_whole():
    linear._SMALL = 0
    try:
        for places, classes in (((20,), 11), ((4, 5), 200), ((), 11)):
            arrays = normal(*places, 6), normal(classes, 6), normal(classes)
            indices = np.asarray(RANDOM.randint(0, classes, places))
            indices.reshape(-1)[3:4] = -100
            shares = RANDOM.random_sample((*places, classes)).astype(np.float32)
            weight = tensor(RANDOM.random_sample(classes).astype(np.float32))
            for target, count, smoothing, reduction, scales in itertools.product(
                (indices, shares), (2, 3), (0.0, 0.1), ("none", "mean", "sum"), (None, weight)
            ):
                more = {"reduction": reduction, "label_smoothing": smoothing, "weight": scales}

                def chunked(input, linear_weight, linear_bias=None, target=target, more=more):
                    return linear_cross_entropy(input, linear_weight, tensor(target), linear_bias=linear_bias, **more)

                def whole(input, linear_weight, linear_bias=None, target=target, more=more, classes=classes):
                    logits = oneflow.matmul(input.reshape(-1, 6), linear_weight.transpose(0, 1))
                    logits = logits if linear_bias is None else logits + linear_bias
                    flat = target.reshape(-1, classes) if target.dtype == np.float32 else target.reshape(-1)
                    loss = cross_entropy(logits, tensor(flat), **more)
                    return loss.reshape(*target.shape[: input.ndim - 1]) if more["reduction"] == "none" else loss

                exact = both(whole, arrays[:count], np.float64)
                for rows, dtype, tolerance in ((7, np.float32, 2e-5), (1, np.float64, 1e-12)):
                    linear._CHUNK = rows * classes
                    found = both(chunked, arrays[:count], dtype)
                    for one, right in zip(found, exact):  # noqa: B905  # Python 3.8 has no strict
                        same((one.shape, one.dtype), (right.shape, np.dtype(dtype)))
                        np.testing.assert_allclose(one, right, tolerance, tolerance * (1 + np.abs(right).max()))
    finally:
        linear._SMALL, linear._CHUNK = KEPT


def the_logits_are_never_all_there():
    counts, logits = [], linear._logits

    def watched(layer, rows):
        counts.append(rows.shape[0])
        return logits(layer, rows)

    linear._SMALL, linear._CHUNK, linear._logits = 0, 1600, watched
    try:
        for reduction, passes in (("mean", 1), ("none", 2)):
            counts.clear()
            input = tensor(normal(64, 8)).requires_grad_()
            loss = linear_cross_entropy(input, tensor(normal(100, 8)), tensor(np.arange(64)), reduction=reduction)
            loss.sum().backward()
            same(counts, [16] * 4 * passes, reduction)
    finally:
        linear._SMALL, linear._CHUNK, linear._logits = *KEPT, logits


def nothing_and_next_to_nothing_are_answered():
    linear._SMALL = 0
    try:
        for places, width, mean in (((0,), 4, np.nan), ((2, 0), 4, np.nan), ((3,), 0, np.log(5))):
            for reduction, value in (("mean", mean), ("sum", np.nan_to_num(mean) * 3), ("none", None)):
                input = tensor(np.zeros((*places, width), np.float32)).requires_grad_()
                linear_weight = tensor(np.ones((5, width), np.float32)).requires_grad_()
                target = tensor(np.zeros(places, np.int64))
                loss = linear_cross_entropy(input, linear_weight, target, reduction=reduction)
                if value is None:
                    same(tuple(loss.shape), places)
                else:
                    np.testing.assert_allclose(loss.numpy(), value, rtol=1e-6)
                slopes = oneflow.autograd.grad(loss, (input, linear_weight), oneflow.ones_like(loss))
                same([tuple(slope.shape) for slope in slopes], [(*places, width), (5, width)])
                same(any(slope.numpy().any() for slope in slopes), False)
        for linear_weight in (normal(4, 5).T, normal(8, 4)[3:]):  # transposed, or cut out of a larger tensor
            input, target = normal(6, 4), np.array([0, 1, 2, 3, 4, 0])
            value = linear_cross_entropy(tensor(input), tensor(linear_weight), tensor(target))
            right = linear_cross_entropy(tensor(input), tensor(np.ascontiguousarray(linear_weight)), tensor(target))
            np.testing.assert_allclose(value.numpy(), right.numpy(), rtol=1e-6)
    finally:
        linear._SMALL = KEPT[0]


def graphs_give_what_eager_gives():
    class Graph(oneflow.nn.Graph):
        def __init__(self, loss):
            super().__init__()
            self.loss = loss

        def build(self, input, target):
            return self.loss(input, target)

    loss = Loss(4, 5, bias=True, label_smoothing=0.1)
    input, target = tensor(normal(6, 4)), tensor(np.array([0, 1, 2, 3, -100, 0]))
    eager = loss(input, target).numpy()
    np.testing.assert_allclose(Graph(loss)(input, target).numpy(), eager, rtol=1e-6)


if __name__ == "__main__":
    run(
        chunks_are_the_whole,
        the_logits_are_never_all_there,
        nothing_and_next_to_nothing_are_answered,
        graphs_give_what_eager_gives,
    )
