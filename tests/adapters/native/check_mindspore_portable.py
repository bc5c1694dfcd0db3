"""The portable loss in the real MindSpore: a native citizen, in PyNative as MindSpore starts it and compiled.

What it computes is judged by the harness on the standard cases; here the compiled loss is compared with it.
"""

from __future__ import annotations

import itertools
import os
import tempfile

import mindspore
import numpy as np
from adapter_checks import raised, run
from mindspore import Tensor, mint, nn, ops
from mindspore_portable import (
    NAN,
    RANDOM,
    Net,
    all_close,
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
    ascend,
    cross_entropy,
    eager,
    fused,
    linear,
    linear_cross_entropy,
    portable,
)
from xent.errors import SpecError, SpecIndexError, SpecTypeError, SpecValueError
from xent.spec import CrossEntropySpec


def the_function_is_the_cell():
    input, target, weight = logits(6, 5), indices(5, 6), weights(5)

    def function(input, target):
        return cross_entropy(input, target, weight, -100, "mean", 0.1)

    loss = CrossEntropyLoss(weight, label_smoothing=0.1)
    close(function(input, target), loss(input, target), 0)
    close(mindspore.jit(function)(input, target), loss(input, target))


def the_weight_is_not_trained():
    net = Net(CrossEntropyLoss(weights(5)))
    before = net.loss.weight.asnumpy().copy()
    assert [p.name for p in net.trainable_params()] == ["dense.weight", "dense.bias"], net.trainable_params()
    optimizer = nn.SGD(net.trainable_params(), 0.5)
    step = mindspore.value_and_grad(net, None, optimizer.parameters)
    input, target = logits(16, 4), indices(5, 16)
    losses = []
    for _ in range(5):
        value, slopes = step(input, target)
        optimizer(slopes)
        losses.append(float(value.asnumpy()))
    assert losses[-1] < losses[0], losses
    assert (net.loss.weight.asnumpy() == before).all()
    assert np.abs(slopes[0].asnumpy()).max() > 0


def the_weight_travels_in_a_checkpoint():
    net, other = Net(CrossEntropyLoss(weights(5))), Net(CrossEntropyLoss(Tensor(np.ones(5, np.float32))))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.ckpt")
        mindspore.save_checkpoint(net, path)
        saved = mindspore.load_checkpoint(path)
        assert "loss.weight" in saved, list(saved)
        missing, _ = mindspore.load_param_into_net(other, saved)
        assert not missing, missing
    close(other.loss.weight, net.loss.weight, 0)


def half_precision_is_computed_wider():
    input, target = logits(64, 300, dtype=np.float16), indices(300, 64)
    exact = cross_entropy(input.astype(mindspore.float64), target).asnumpy()
    value = cross_entropy(input, target)
    assert value.dtype == mindspore.float16
    assert value.asnumpy() == exact.astype(np.float16), (value, exact)


def automatic_mixed_precision():
    input, target = logits(8, 4), indices(5, 8)
    for level in ("O1", "O2", "O3", "auto"):
        inner = Net(CrossEntropyLoss(weights(5), label_smoothing=0.1))
        net = mindspore.amp.auto_mixed_precision(inner, level)
        x, kernel, bias = (t.asnumpy().astype(np.float32) for t in (input, inner.dense.weight, inner.dense.bias))
        weight = inner.loss.weight.astype(mindspore.float32)
        wide = float(cross_entropy(Tensor(x @ kernel.T + bias), target, weight, label_smoothing=0.1).asnumpy())
        value, slopes = mindspore.value_and_grad(net, None, net.trainable_params())(input, target)
        np.testing.assert_allclose(float(value.asnumpy()), wide, rtol=5e-3, err_msg=level)
        assert all(np.isfinite(slope.asnumpy().astype(np.float32)).all() for slope in slopes)
        if level in ("O1", "auto"):  # of the four, those that rewrite the network and its functions
            value = mindspore.jit(net)(input, target)
            np.testing.assert_allclose(float(value.asnumpy()), wide, rtol=5e-3, err_msg=level)


def labels_out_of_range():
    input = logits(4, 5)
    loss = CrossEntropyLoss(reduction="none")
    compiled, gradient = mindspore.jit(loss), mindspore.jit(mindspore.grad(summed(loss), 0))
    for wrong in (5, -1, -101, 2**31 - 1):
        target = Tensor(np.array([0, wrong, 2, -100], np.int64))
        error = raised(cross_entropy, input, target)
        assert isinstance(error, SpecIndexError), repr(error)
        assert "target[1]" in str(error), error
        values = compiled(input, target).asnumpy()  # nothing can be raised there: nan, and so never silent
        assert np.isnan(values).tolist() == [False, True, False, False], values
        slope = gradient(input, target).asnumpy()
        assert np.isnan(slope).all(1).tolist() == [False, True, False, False], slope
        values = cross_entropy(input, target, reduction="none", validate=False).asnumpy()
        assert np.isnan(values).tolist() == [False, True, False, False], values
        assert np.isnan(linear_cross_entropy(input, logits(5, 5), target, weight=weights(5), validate=False).asnumpy())


def shapes_and_dtypes():
    input, target = logits(4, 5), indices(5, 4)
    for function, arguments, error_class in (
        (cross_entropy, (input, indices(5, 3)), SpecValueError),
        (cross_entropy, (input, indices(5, 4, 1)), SpecValueError),
        (cross_entropy, (target, target), SpecTypeError),
        (cross_entropy, (input, target, weights(4)), SpecValueError),
        (cross_entropy, (input, target, Tensor(np.ones(5, np.int32))), SpecTypeError),
        (cross_entropy, (input, target, Tensor(np.array([1, 1, 1, 1, NAN], np.float32))), SpecValueError),
        (cross_entropy, (input, input, None, 3), SpecValueError),
        (CrossEntropyLoss, (None, 2**63), SpecValueError),
        (CrossEntropyLoss, (None, -100, "avg"), SpecValueError),
        (CrossEntropyLoss, (None, -100, "mean", 1.1), SpecValueError),
        (CrossEntropyLoss, ([1.0, 2.0],), SpecTypeError),
        (CrossEntropyLoss, (Tensor(np.ones((5, 1), np.float32)),), SpecValueError),
    ):
        error = raised(function, *arguments)
        assert isinstance(error, error_class), (arguments, repr(error))
    error = raised(mindspore.jit(CrossEntropyLoss()), input, indices(5, 3))
    assert isinstance(error, (SpecError, ValueError, RuntimeError)), repr(error)
    assert "(4,)" in str(error), error


def nothing_at_all():
    for shape in ((0, 5), (0, 5, 3), (2, 5, 0)):
        places = shape[:1] + shape[2:]
        input, target = Tensor(np.zeros(shape, np.float32)), Tensor(np.zeros(places, np.int32))
        for reduction, expected in (("sum", 0.0), ("mean", NAN)):
            value, slope = mindspore.value_and_grad(CrossEntropyLoss(reduction=reduction), 0)(input, target)
            np.testing.assert_equal(float(value.asnumpy()), expected)
            assert slope.shape == shape
        assert cross_entropy(input, target, reduction="none").shape == places


def a_loss_of_nothing_is_plus_0():
    input, target = Tensor(np.array([[200.0, 0.0], [0.0, 300.0]], np.float32)), Tensor(np.array([0, 1], np.int32))
    for aim in (target, Tensor(np.eye(2, dtype=np.float32)), Tensor(np.array([0, -100], np.int32))):
        for reduction in ("none", "mean", "sum"):
            value = cross_entropy(input, aim, reduction=reduction).asnumpy()
            assert (value == 0).all(), (aim, reduction, value)
            assert not np.signbit(value).any(), (aim, reduction, value)


def gradients_have_gradients():
    """Against differences of the first gradient, in PyNative and where PyNative differentiates what was compiled."""
    input, target, factor = logits(3, 4, dtype=np.float64), indices(4, 3), logits(3, 4, dtype=np.float64)
    shares = probabilities(3, 4).astype(mindspore.float64)
    for aim, reduction, compiled in ((target, "mean", False), (shares, "none", False), (target, "mean", True)):
        loss = summed(CrossEntropyLoss(weights(4), reduction=reduction, label_smoothing=0.1))
        first = mindspore.grad(loss, 0)
        if compiled:
            first = mindspore.jit(first)
        second = mindspore.grad(lambda x, y, first=first: (first(x, y) * factor).sum(), 0)(input, aim).asnumpy()
        assert np.abs(second).max() > 1e-3
        for place in ((0, 1), (1, 3), (2, 0)):
            step = np.zeros((3, 4))
            step[place] = 1e-5
            change = first(input + Tensor(step), aim) - first(input - Tensor(step), aim)
            np.testing.assert_allclose(second[place], (change * factor).sum().asnumpy() / 2e-5, rtol=1e-5, atol=1e-9)
    penalty = mindspore.grad(lambda x: (mindspore.grad(cross_entropy, 0)(x, target) ** 2).sum())(input)
    assert np.abs(penalty.asnumpy()).max() > 1e-3
    layer = logits(3, 2, dtype=np.float64), logits(4, 2, dtype=np.float64), logits(4, dtype=np.float64)

    def inner(loss):
        return lambda *given: sum((mindspore.grad(loss, at)(*given) ** 2).sum() for at in range(3))

    product = ops.MatMul(transpose_b=True)
    got, want = (
        mindspore.grad(inner(loss), (0, 1, 2))(*layer)
        for loss in (
            lambda x, w, b: linear_cross_entropy(x, w, target, linear_bias=b),
            lambda x, w, b: cross_entropy(product(x, w) + b, target),
        )
    )
    all_close(got, want, 1e-9)


def class_probabilities_have_a_gradient():
    input, target = logits(4, 5), probabilities(4, 5)
    loss = CrossEntropyLoss(weights(5), label_smoothing=0.1)
    eager_slopes = mindspore.grad(loss, (0, 1))(input, target)
    compiled_slopes = mindspore.jit(mindspore.grad(loss, (0, 1)))(input, target)
    step = 1e-3 * np.eye(5)[[0, 1, 2, 3]]
    wide = CrossEntropyLoss(loss.weight.astype(mindspore.float64), label_smoothing=0.1)
    x, t = input.asnumpy().astype(np.float64), target.asnumpy().astype(np.float64)
    change = (wide(Tensor(x), Tensor(t + step)) - wide(Tensor(x), Tensor(t - step))).asnumpy() / 2e-3
    np.testing.assert_allclose((eager_slopes[1].asnumpy() * np.eye(5)[[0, 1, 2, 3]]).sum(), change, rtol=1e-5)
    all_close(compiled_slopes, eager_slopes)


def a_closed_class_has_an_infinite_gradient_for_its_probability():
    """-log p is the loss's gradient with respect to a probability, whatever that probability is: 0 too (O1)."""
    input = Tensor(np.array([[0.0, -np.inf, 1.0]], np.float32))
    target = Tensor(np.array([[0.5, 0.0, 0.5]], np.float32))
    for function in (mindspore.grad(cross_entropy, (0, 1)), mindspore.jit(mindspore.grad(cross_entropy, (0, 1)))):
        slope, of_target = function(input, target)
        assert np.isinf(of_target.asnumpy()).tolist() == [[False, True, False]], of_target
        assert np.isfinite(slope.asnumpy()).all(), slope


def large_problems_match_the_composition():
    """Fused kernels in float32 and the composition in float64: what the harness's small cases do not reach."""
    input, target = logits(300, 1000), indices(1000, 300)
    places, labels = logits(3, 40, 2500), indices(40, 3, 2500)
    for x, y, classes in ((input, target, 1000), (places, labels, 40), (input, probabilities(300, 1000), 1000)):
        for smoothing, weighted in ((0.0, True), (0.1, False), (0.1, True)):
            weight = weights(classes) if weighted else None
            form = portable.form_of(x.shape, x, y, weight, -100)
            call = eager.Call(form, weight, -100, "mean", smoothing, True)
            value, gradients = eager._composed(x, y, call)
            fused_value, fused_slope = mindspore.value_and_grad(CrossEntropyLoss(weight, label_smoothing=smoothing), 0)(
                x, y
            )
            np.testing.assert_allclose(fused_value.asnumpy(), value, rtol=2e-6)
            slope = gradients(Tensor(1.0, mindspore.float32), False)[0].asnumpy()
            # float32 exp is off by up to 6e-6, of which p - 1 leaves that much of the largest gradient.
            np.testing.assert_allclose(fused_slope.asnumpy(), slope, rtol=1e-4, atol=1e-5 * np.abs(slope).max())


def the_kernels_in_float32_match_the_oracle():
    """Every layout and guard of the fused kernels, which the harness's small cases meet in float64 only."""
    elements, fused.PRECISE_ELEMENTS = fused.PRECISE_ELEMENTS, 0
    ways = itertools.cycle([("none", 0.0, False), ("mean", 0.1, True), ("none", 0.1, False), ("sum", 0.0, True)])
    try:
        for shape in ((40, 30), (3, 30, 37), (2, 30, 5, 4), (2, 30, 1, 3, 2, 2)):
            places = shape[:1] + shape[2:]
            for hostile in (None, -np.inf, np.nan, np.inf, 1e38):
                array = logits(*shape).asnumpy() + np.float32(RANDOM.choice([0.0, 40.0]))
                if hostile is not None:
                    array[RANDOM.random_sample(shape) < 0.004] = hostile
                for y in (indices(30, *places), indices(30, *places, ignored=False), probabilities(*shape)):
                    reduction, smoothing, weighted = next(ways)
                    same_as_exact(array, y, weights(30) if weighted else None, reduction, smoothing)
    finally:
        fused.PRECISE_ELEMENTS = elements


def same_as_exact(array, y, weight, reduction, smoothing):
    """Few operators of MindSpore's: asynchronous ones wait for one another a millisecond each (measured, 2 cores)."""
    spec = CrossEntropySpec(None if weight is None else weight.asnumpy(), -100, reduction, smoothing)
    x, target = Tensor(array), y.asnumpy()
    with np.errstate(all="ignore"):
        value, slope = reference.value(spec, array, target), reference.gradient(spec, array, target)
    places = array.shape[:1] + array.shape[2:]
    dout = (RANDOM.random_sample(places if reduction == "none" else ()) + 0.5).astype(np.float32)
    scale, upstream = np.expand_dims(dout, 1) if reduction == "none" else dout, Tensor(dout)
    loss = CrossEntropyLoss(weight, reduction=reduction, label_smoothing=smoothing)
    np.testing.assert_allclose(loss(x, y).asnumpy(), value, 1e-5, 1e-5)
    got = mindspore.grad(lambda x: (loss(x, y) * upstream).sum())(x).asnumpy()
    np.testing.assert_allclose(got, slope * scale, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got[np.isnan(array)] == 0, slope[np.isnan(array)] == 0)
    if dtypes.is_float(target):
        of_target = mindspore.grad(lambda x, y: (loss(x, y) * upstream).sum(), 1)(x, y).asnumpy()
        with np.errstate(all="ignore"):
            want = reference.gradient_target(spec, array, target) * scale
        np.testing.assert_allclose(of_target, want, rtol=1e-4, atol=1e-4)


def a_backward_pass_can_run_twice():
    input, target = logits(40, 200), indices(200, 40)
    function = mindspore.grad(CrossEntropyLoss(), 0)
    close(function(input, target), function(input, target), 0)
    doubled = mindspore.grad(summed(lambda x, y: cross_entropy(x, y) * 2.0), 0)(input, target)
    close(doubled, function(input, target) * 2.0, 1e-6)


def linear_is_the_loss_of_the_logits():
    layer = logits(37, 16), logits(150, 16), logits(150)
    linear.CHUNK = 150 * 8
    for reduction, target, smoothing in (
        ("none", indices(150, 37), 0.1),
        ("mean", indices(150, 37), 0.0),
        ("sum", indices(150, 37), 0.1),
        ("none", probabilities(37, 150), 0.0),
        ("mean", probabilities(37, 150), 0.1),
    ):
        more = {"weight": weights(150), "reduction": reduction, "label_smoothing": smoothing}

        def chunked(input, linear_weight, linear_bias=None, target=target, more=more):
            return linear_cross_entropy(input, linear_weight, target, linear_bias=linear_bias, **more).sum()

        def whole(input, linear_weight, linear_bias=None, target=target, more=more):
            products = mint.matmul(input, linear_weight.T)
            return cross_entropy(products if linear_bias is None else products + linear_bias, target, **more).sum()

        for count in (2, 3):  # without a bias, and with one
            found = [
                mindspore.value_and_grad(function, tuple(range(count)))(*layer[:count]) for function in (chunked, whole)
            ]
            (value, slopes), (want, want_slopes) = found
            close(value, want, 2e-5)
            all_close(slopes, want_slopes, 2e-4)  # logits of some 100, summed in two orders: 1e-5 each, over 37 rows
    labels = indices(150, 37)

    def loss(input, linear_weight, linear_bias):
        return linear_cross_entropy(input, linear_weight, labels, linear_bias=linear_bias, label_smoothing=0.1)

    function = mindspore.value_and_grad(loss, (0, 1, 2))
    (value, slopes), (want, want_slopes) = mindspore.jit(function)(*layer), function(*layer)
    close(value, want, 2e-5)
    all_close(slopes, want_slopes, 2e-4)


def linear_takes_dtypes_that_differ():
    """Computed in float32: its gradients have the dtype of what they are the gradients of, compiled too."""
    input, linear_weight, linear_bias = logits(20, 8, dtype=np.float16), logits(11, 8), logits(11)
    target = indices(11, 20)
    wide = linear_cross_entropy(input.astype(mindspore.float32), linear_weight, target, linear_bias=linear_bias)

    def loss(input, linear_weight, linear_bias):
        return linear_cross_entropy(input, linear_weight, target, linear_bias=linear_bias)

    function = mindspore.value_and_grad(loss, (0, 1, 2))
    for call in (function, mindspore.jit(function)):
        value, slopes = call(input, linear_weight, linear_bias)
        assert value.dtype == mindspore.float16
        assert abs(float(value.asnumpy()) - float(wide.asnumpy())) < 2e-3 * float(wide.asnumpy())
        assert [str(slope.dtype) for slope in slopes] == ["Float16", "Float32", "Float32"], slopes


def linear_never_holds_all_logits():
    hidden, projection, target = logits(64, 8), logits(100, 8), indices(100, 64)
    linear.CHUNK, product, rows = 1600, linear._logits, []

    def watched(part, weights):
        rows.append(part.shape[0])
        return product(part, weights)

    linear._logits = watched
    try:
        mindspore.value_and_grad(lambda h, p: linear_cross_entropy(h, p, target), (0, 1))(hidden, projection)
    finally:
        linear._logits = product
    assert rows == [16, 16, 16, 16], rows


def linear_refuses_what_does_not_fit():
    for hidden, projection, target in (
        (logits(4, 8), logits(5, 7), indices(5, 4)),
        (logits(4, 8), logits(5, 8), indices(5, 3)),
        (logits(4, 8), logits(5, 8), Tensor(np.array([0, 1, 5, 2]))),
    ):
        assert isinstance(raised(linear_cross_entropy, hidden, projection, target), SpecError)
    shaped = linear_cross_entropy(logits(2, 3, 8), logits(5, 8), indices(5, 2, 3), reduction="none")
    assert shaped.shape == (2, 3)


def the_branch_for_ascend():
    """NEVER RUN on Ascend. Here: up to the first operator that a CPU lacks; with that one replaced, to the end."""
    input, target, weight = logits(6, 5), indices(5, 6), weights(5)

    def arguments(target):
        return eager.Call(portable.form_of(input.shape, input, target, weight, -100), weight, -100, "mean", 0.1, True)

    error = raised(ascend.cross_entropy, input, target, arguments(target))
    assert "Arange unregistered" in str(error), repr(error)
    arange = mint.arange
    mint.arange = lambda end, dtype: ops.arange(end)
    try:
        for aim in (target, probabilities(6, 5)):
            function = mindspore.value_and_grad(lambda x, aim=aim: ascend.cross_entropy(x, aim, arguments(aim)), 0)
            value, slope = function(input)
            want, want_slope = mindspore.value_and_grad(CrossEntropyLoss(weight, label_smoothing=0.1), 0)(input, aim)
            close(value, want)
            close(slope, want_slope)
            second = mindspore.grad(lambda x, f=function: (f(x)[1] ** 2).sum())(input)
            loss = CrossEntropyLoss(weight, label_smoothing=0.1)
            want_second = mindspore.grad(lambda x, aim=aim, f=loss: (mindspore.grad(f, 0)(x, aim) ** 2).sum())(input)
            close(second, want_second)
            assert np.abs(second.asnumpy()).max() > 1e-4
    finally:
        mint.arange = arange
    wrong = Tensor(np.array([0, 1, 5, 2, 0, 0]))
    assert isinstance(raised(ascend.cross_entropy, input, wrong, arguments(wrong)), SpecIndexError)


def mint_has_the_same_loss():
    import xent.adapters.mint as adapter

    assert adapter.CrossEntropyLoss is CrossEntropyLoss
    assert adapter.cross_entropy is cross_entropy


run(
    the_function_is_the_cell,
    the_weight_is_not_trained,
    the_weight_travels_in_a_checkpoint,
    half_precision_is_computed_wider,
    automatic_mixed_precision,
    labels_out_of_range,
    shapes_and_dtypes,
    nothing_at_all,
    class_probabilities_have_a_gradient,
    a_loss_of_nothing_is_plus_0,
    gradients_have_gradients,
    a_closed_class_has_an_infinite_gradient_for_its_probability,
    large_problems_match_the_composition,
    the_kernels_in_float32_match_the_oracle,
    a_backward_pass_can_run_twice,
    linear_is_the_loss_of_the_logits,
    linear_takes_dtypes_that_differ,
    linear_never_holds_all_logits,
    linear_refuses_what_does_not_fit,
    the_branch_for_ascend,
    mint_has_the_same_loss,
)
