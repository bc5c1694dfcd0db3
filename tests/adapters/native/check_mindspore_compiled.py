"""The portable loss under mindspore.jit and in GRAPH_MODE, compared with itself in PyNative."""

from __future__ import annotations

import mindspore
import numpy as np
from adapter_checks import raised, run
from mindspore import Tensor
from mindspore_portable import (
    NAN,
    RANDOM,
    Net,
    all_close,
    both_ways,
    close,
    indices,
    logits,
    probabilities,
    summed,
    weights,
)

from xent import dtypes, reference
from xent.adapters.mindspore import (
    CrossEntropyLoss,
    cross_entropy,
)
from xent.spec import CrossEntropySpec


def compiled_it_is_the_same():
    for reduction, smoothing, weighted in (("none", 0.1, True), ("mean", 0.0, True), ("mean", 0.1, False)):
        loss = CrossEntropyLoss(weights(5) if weighted else None, reduction=reduction, label_smoothing=smoothing)
        for input, target in ((logits(7, 5), indices(5, 7)), (logits(7, 5), probabilities(7, 5))):
            (value, slope), (compiled, compiled_slope) = both_ways(loss, input, target)
            close(compiled, value)
            close(compiled_slope, slope)


def compiled_shapes_of_every_rank():
    for shape in ((5,), (2, 5, 2, 1, 2, 1, 2, 1, 2)):
        places = shape[:1] + shape[2:] if len(shape) > 1 else ()
        input = logits(*shape)
        target = Tensor(RANDOM.randint(0, 5, places).astype(np.int64))
        loss = CrossEntropyLoss(reduction="none")
        close(mindspore.jit(loss)(input, target), loss(input, target))
        (_, slope), (_, compiled_slope) = both_ways(loss, input, target)
        close(compiled_slope, slope)
        assert slope.shape == shape


def compiled_kernels_and_their_guards():
    """Each layout and dtype of the kernels, ordinary and hostile, against the oracle; one graph for all of a kind."""
    for shape, weighted, reduction, smoothing in (
        ((40, 30), True, "none", 0.1),
        ((3, 30, 5), False, "mean", 0.0),
        ((30, 900), True, "mean", 0.0),
        ((2, 300, 5, 4), True, "mean", 0.1),
        ((2, 300, 1, 3, 2, 1), False, "sum", 0.0),
    ):
        weight = weights(shape[1]) if weighted else None
        spec = CrossEntropySpec(weight.asnumpy() if weighted else None, -100, reduction, smoothing)
        loss = CrossEntropyLoss(weight, reduction=reduction, label_smoothing=smoothing)
        of_input = mindspore.jit(mindspore.value_and_grad(summed(loss), 0))
        of_both = mindspore.jit(mindspore.value_and_grad(summed(loss), (0, 1)))
        for hostile in (None, -np.inf, np.nan, np.inf, 1e38, "wrong", "ignored"):
            array = logits(*shape).asnumpy() + np.float32(RANDOM.choice([0.0, 40.0]))
            if isinstance(hostile, float):
                array[RANDOM.random_sample(shape) < 0.01] = hostile
            labels = indices(shape[1], *shape[:1], *shape[2:]).asnumpy()
            if hostile == "ignored":
                labels[:] = -100
            as_exact(of_input, spec, array, labels, hostile == "wrong")
            if weighted:
                shares = probabilities(*shape).asnumpy()
                shares[np.isnan(array).any(1, keepdims=True) & np.ones(shape, bool)] = 0  # S13 holds there all the same
                as_exact(of_both, spec, array, shares)


def as_exact(function, spec, array, target, wrong=False):
    """Value and gradients are the oracle's; of a wrong class index, its row's are nan."""
    with np.errstate(all="ignore"):
        value = reference.value(spec, array, target).sum(dtype=np.float64).astype(np.float32)
        slope = reference.gradient(spec, array, target)
        of_target = reference.gradient_target(spec, array, target) if dtypes.is_float(target) else None
    if wrong:
        target = target.copy()
        target.flat[2] = array.shape[1] + 3
    got, slopes = function(Tensor(array), Tensor(target))
    slopes = [one.asnumpy() for one in (slopes if isinstance(slopes, tuple) else (slopes,))]
    if wrong:
        assert np.isnan(got.asnumpy()), got
        ignored = np.broadcast_to(np.expand_dims(target == -100, 1), array.shape)
        assert np.isnan(slopes[0]).any(), slopes
        assert (slopes[0][ignored] == 0).all(), slopes
        return
    np.testing.assert_allclose(got.asnumpy(), value, 2e-5, 1e-5)
    np.testing.assert_allclose(slopes[0], slope, 1e-4, 1e-5)
    if of_target is None:
        assert (slopes[0][np.broadcast_to(np.expand_dims(target == -100, 1), array.shape)] == 0).all()
    else:
        np.testing.assert_allclose(slopes[1], of_target, 1e-4, 1e-4)


def hostile_logits_compiled():
    rows = [[0.0, -np.inf, 1.0], [np.inf, 0.0, 1.0], [np.nan, 0.0, 1.0], [1e38, -1e38, 0.0], [-np.inf] * 3]
    input = Tensor(np.array(rows, np.float32))
    function = mindspore.value_and_grad(CrossEntropyLoss(reduction="sum"), 0)
    compiled = mindspore.jit(function)
    for labels in ([0, 0, 1, 1, 2], [-100] * 5, [0, -100, -100, 0, -100]):
        target = Tensor(np.array(labels, np.int32))
        want = function(input, target)
        all_close(compiled(input, target), want)
        ignored = want[1].asnumpy()[np.array(labels) == -100]
        assert (ignored == 0).all(), ignored  # exactly, nan logits or not


def graph_mode():
    input, target, weight = logits(6, 5), indices(5, 6), weights(5)
    expected = mindspore.value_and_grad(CrossEntropyLoss(weight), 0)(input, target)
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    try:
        loss = CrossEntropyLoss(weight)
        close(loss(input, target), expected[0])
        value, slope = mindspore.value_and_grad(loss, 0)(input, target)
        close(value, expected[0])
        close(slope, expected[1])
        close(cross_entropy(input, target, weight), expected[0])
    finally:
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def dynamic_batch_size():
    for mode in (mindspore.GRAPH_MODE, mindspore.PYNATIVE_MODE):
        mindspore.set_context(mode=mode)
        try:
            net = Net(CrossEntropyLoss(weights(5), label_smoothing=0.1))
            net.set_inputs(
                Tensor(shape=[None, 4], dtype=mindspore.float32), Tensor(shape=[None], dtype=mindspore.int32)
            )
            for rows in (3, 8, 5):
                input, target = logits(rows, 4), indices(5, rows)
                value = net(input, target)
                mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
                close(value, cross_entropy(net.dense(input), target, net.loss.weight, label_smoothing=0.1))
                mindspore.set_context(mode=mode)
        finally:
            mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def compiled_dynamic_gradient():
    loss = CrossEntropyLoss(weights(5))

    @mindspore.jit
    def step(input, target):
        return mindspore.grad(loss, 0)(input, target)

    for rows in (3, 8):
        input, target = logits(rows, 5), indices(5, rows)
        dynamic = mindspore.mutable(input)
        close(step(dynamic, target), mindspore.grad(loss, 0)(input, target))


def nothing_at_all_compiled():
    for shape in ((0, 5), (2, 5, 0)):
        places = shape[:1] + shape[2:]
        input, target = Tensor(np.zeros(shape, np.float32)), Tensor(np.zeros(places, np.int32))
        for reduction, expected in (("sum", 0.0), ("mean", NAN), ("none", np.zeros(places))):
            loss = CrossEntropyLoss(reduction=reduction)
            np.testing.assert_equal(mindspore.jit(loss)(input, target).asnumpy(), expected)
            assert mindspore.jit(mindspore.grad(summed(loss), 0))(input, target).shape == shape
            mindspore.set_context(mode=mindspore.GRAPH_MODE)
            try:
                np.testing.assert_equal(loss(input, target).asnumpy(), expected)
            finally:
                mindspore.set_context(mode=mindspore.PYNATIVE_MODE)


def compiled_gradients_of_gradients_raise():
    """MindSpore's compiler refuses; what matters is that it does not return 0."""
    target = indices(4, 3)

    def loss(input):
        return cross_entropy(input, target)

    def first(input):
        return mindspore.grad(loss)(input).sum()

    assert isinstance(raised(mindspore.jit(mindspore.grad(first)), logits(3, 4)), RuntimeError)


run(
    compiled_it_is_the_same,
    compiled_shapes_of_every_rank,
    compiled_kernels_and_their_guards,
    hostile_logits_compiled,
    graph_mode,
    dynamic_batch_size,
    compiled_dynamic_gradient,
    nothing_at_all_compiled,
    compiled_gradients_of_gradients_raise,
)
