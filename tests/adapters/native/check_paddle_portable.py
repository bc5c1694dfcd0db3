"""The portable loss in the real Paddle: a layer like Paddle's own, eager, in static graphs and under automatic mixed
precision, its derivatives of any order, and what Paddle's own operators would get wrong."""

from __future__ import annotations

import numpy as np
import paddle
from adapter_checks import Kit, close, raised, random_specs, run, same

from xent import dtypes, reference
from xent.adapters.paddle import CrossEntropyLoss, as_array, as_tensor, cross_entropy, operators, ported
from xent.errors import SpecIndexError, SpecTypeError, SpecValueError
from xent.spec import CrossEntropySpec

generator = np.random.RandomState(0)
X = generator.standard_normal((4, 5)) * 2
Y = np.array([1, 0, -100, 3])
W = generator.uniform(0.2, 2, 5)
P = generator.dirichlet(np.ones(5), 4)


def tensor(array, wanted=False):
    made = as_tensor(paddle, np.asarray(array))
    made.stop_gradient = not wanted
    return made


def array(made):
    return as_array(paddle, made)


def with_gradient(loss, x, *others):
    x = tensor(x, True)
    value = loss(x, *others)
    return array(value), array(*paddle.grad(value, x, paddle.ones_like(value)))


def the_implementation_maps_specs_both_ways():
    kit = Kit("paddle", "int64", ("float16", "bfloat16", "float32", "float64"), ())
    for spec in random_specs(kit, 100, seed=3):
        loss = ported.to_native(spec)
        assert isinstance(loss, CrossEntropyLoss)
        same(ported.from_native(loss), spec)
        # Our own text: that it evaluates is the claim.
        same(ported.from_native(eval(ported.source(spec), {"paddle": paddle, "xent": __import__("xent")})), spec)
    weight = tensor(W)
    same(ported.from_call(weight, 3, "sum", 0.5), ported.from_native(CrossEntropyLoss(weight, 3, "sum", 0.5)))
    error = raised(ported.from_native, paddle.nn.CrossEntropyLoss())
    assert isinstance(error, TypeError), repr(error)
    same((ported.MODE, ported.NAME), ("portable", "paddle"))


def the_layer_is_one_of_paddles():
    class Model(paddle.nn.Layer):
        def __init__(self, loss):
            super().__init__()
            self.linear, self.loss = paddle.nn.Linear(5, 5), loss

    weight = tensor(W.astype(np.float32))
    ours, theirs = Model(CrossEntropyLoss(weight, ignore_index=1)), Model(paddle.nn.CrossEntropyLoss(weight))
    same(list(ours.state_dict()), list(theirs.state_dict()))
    same(len(ours.parameters()), len(theirs.parameters()))
    same(str(ours.to(dtype="float64").loss.weight.dtype), "paddle.float64")
    same(repr(CrossEntropyLoss()), "CrossEntropyLoss(ignore_index=-100, reduction='mean', label_smoothing=0.0)")
    parameter = paddle.create_parameter([5], "float32")
    same(len(Model(CrossEntropyLoss(parameter)).parameters()), len(theirs.parameters()) + 1)


def every_form_and_dtype_is_right():
    for dtype in ("float16", "bfloat16", "float32"):  # the oracle of float64 needs mpmath, which isn't here
        tolerance = {"rtol": 8 * dtypes.unit_roundoff(dtype), "atol": 8 * dtypes.unit_roundoff(dtype)}
        for shape in ((5,), (4, 5), (2, 5, 3), (2, 5, 1, 3), (0, 5), (2, 5, 0)):
            axis = min(1, len(shape) - 1)
            x = dtypes.from_float64(generator.standard_normal(shape) * 2, dtype)
            indices = generator.randint(0, 5, shape[:axis] + shape[axis + 1 :])
            for target in (indices, dtypes.from_float64(generator.random_sample(shape), dtype)):
                for reduction in ("none", "mean", "sum"):
                    spec = CrossEntropySpec(
                        dtypes.from_float64(W, dtype), 2 if target is indices else -1, reduction, 0.1
                    )
                    value, slope = with_gradient(ported.to_native(spec), x, tensor(target))
                    close(value, reference.value(spec, x, target), f"{dtype} {shape} {spec}", **tolerance)
                    close(slope, reference.gradient(spec, x, target), f"{dtype} {shape} {spec}", **tolerance)


def derivatives_go_on():
    along = generator.standard_normal(X.shape)
    for target, learned, smoothing in ((Y, False, 0.0), (Y, True, 0.1), (P, False, 0.1), (P, True, 0.0)):
        weight = tensor(W, learned)

        def loss(x, target=target, weight=weight, smoothing=smoothing):
            return cross_entropy(x, tensor(target), weight, label_smoothing=smoothing)

        x = tensor(X, True)
        (first,) = paddle.grad(loss(x), x, create_graph=True)
        (second,) = paddle.grad((first * tensor(along)).sum(), x)
        step = 1e-6
        slopes = [with_gradient(loss, X + sign * step * along)[1] for sign in (1, -1)]
        np.testing.assert_allclose(array(second), (slopes[0] - slopes[1]) / (2 * step), atol=1e-8)
    x, weight = tensor(X, True), tensor(W, True)
    (first,) = paddle.grad(cross_entropy(x, tensor(Y), weight, reduction="sum"), x, create_graph=True)
    (mixed,) = paddle.grad((first * tensor(along)).sum(), weight)
    spec = CrossEntropySpec(np.ones(5), reduction="sum")
    each = np.array([(reference.gradient(spec, X[[n]], Y[[n]]) * along[[n]]).sum() for n in range(4)])
    np.testing.assert_allclose(array(mixed), [each[c == Y].sum() for c in range(5)], atol=1e-12)


def one_gradient_of_two_can_be_asked_for():
    logits, spec = X.astype(np.float32), CrossEntropySpec(W.astype(np.float32))
    for target in (Y, P.astype(np.float32)):
        x, weight = tensor(logits, True), tensor(spec.weight, True)
        value = cross_entropy(x, tensor(target), weight)
        (slope,) = paddle.grad(value, weight, retain_graph=True)
        close(array(slope), reference.gradient_weight(spec, logits, target), "weight")
        (slope,) = paddle.grad(value, x)
        close(array(slope), reference.gradient(spec, logits, target), "input")


def in_a_static_graph_it_is_the_same():
    for dtype in ("float16", "float32", "float64"):
        for target in (Y, P.astype(dtype)):
            loss = CrossEntropyLoss(tensor(W), label_smoothing=0.1)
            static = paddle.jit.to_static(CrossEntropyLoss(tensor(W), label_smoothing=0.1), full_graph=True)
            want, got = (with_gradient(one, X.astype(dtype), tensor(target)) for one in (loss, static))
            for part in (0, 1):
                close(
                    got[part],
                    want[part],
                    f"{dtype}",
                    rtol=4 * dtypes.unit_roundoff(dtype),
                    atol=dtypes.unit_roundoff(dtype),
                )
    big = np.array([[3e38, -3e38, 0.0], [0.0, -np.inf, 1.0]], np.float32)
    spec = CrossEntropySpec(np.array([1, 0.01, 1], np.float32), label_smoothing=0.1, reduction="sum")
    static = paddle.jit.to_static(ported.to_native(spec), full_graph=True)
    for x, labels in ((big[:1], [0]), (big[1:] + 0, [2])):
        close(array(static(tensor(x), tensor(labels))), reference.value(spec, x, np.array(labels)), "far")


def a_program_takes_any_number_of_rows():
    program = paddle.static.Program()
    paddle.enable_static()
    try:
        with paddle.static.program_guard(program):
            x = paddle.static.data("x", [-1, 5], "float64")
            y = paddle.static.data("y", [-1], "int64")
            value = cross_entropy(x, y, label_smoothing=0.1)
            for rows in (4, 2):
                found = paddle.static.Executor().run(program, {"x": X[:rows], "y": Y[:rows]}, [value])[0]
                right = reference.value(CrossEntropySpec(label_smoothing=0.1), X[:rows], Y[:rows])
                close(np.asarray(found), right, f"{rows} rows", rtol=1e-14)
    finally:
        paddle.disable_static()


def out_of_range_labels_nobody_looks_at_give_nan():
    stray = np.array([1, 7, -1, -100])
    assert isinstance(raised(cross_entropy, tensor(X), tensor(stray)), SpecIndexError)
    static = paddle.jit.to_static(CrossEntropyLoss(reduction="none"), full_graph=True)
    for loss in (static, CrossEntropyLoss(reduction="none", validate=False)):
        value, slope = with_gradient(loss, X, tensor(stray))
        same(np.isnan(value).tolist(), [False, True, True, False])
        same(np.isnan(slope).all(1).tolist(), [False, True, True, False])
        same((value[3], np.count_nonzero(slope[3])), (0.0, 0))


def mixed_precision_leaves_it_alone():
    x, weight = tensor(X.astype(np.float32)), tensor(W)
    plain = cross_entropy(x, tensor(Y), weight, label_smoothing=0.1)
    for level in ("O1", "O2"):
        with paddle.amp.auto_cast(level=level, dtype="bfloat16"):
            mixed = cross_entropy(x, tensor(Y), weight, label_smoothing=0.1)
        same((mixed.dtype, mixed.item()), (plain.dtype, plain.item()))


def ignored_rows_may_hold_anything():
    x = np.array([[np.nan, 0.0, 1.0], [np.inf, 3e38, -np.inf], [0.5, 1.0, -1.0]], np.float32)
    for smoothing in (0.0, 0.1):
        spec = CrossEntropySpec(np.array([1, 2, 0.5], np.float32), 2, "sum", smoothing)
        value, slope = with_gradient(ported.to_native(spec), x, tensor([2, 2, 0]))
        close(value, reference.value(spec, x, np.array([2, 2, 0])), "value")
        same((np.count_nonzero(slope[:2]), np.count_nonzero(slope[2])), (0, 3))


def closed_classes_have_no_gradient_at_all():
    x = np.tile(np.array([0.5, -np.inf, 1, -np.inf, 2, 0, 3, -1], np.float32), (3, 4))
    assert (array(tensor(x).exp())[x == -np.inf] > 0).any()  # what Paddle's exp makes of it
    for reduction in ("none", "mean"):
        _, slope = with_gradient(CrossEntropyLoss(reduction=reduction), x, tensor([0, 2, -100]))
        same((np.count_nonzero(slope[x == -np.inf]), np.count_nonzero(slope[2])), (0, 0))
        assert np.isfinite(slope).all()
    _, slope = with_gradient(CrossEntropyLoss(tensor([1.0, 0, 1])), np.array([[0, -np.inf, 1]]), tensor([1]))
    assert np.isnan(slope).all(), slope  # 0/0, which a masked class doesn't hide
    x, y = tensor([[0.0, -np.inf, 1.0]]), tensor([[0.5, 0.0, 0.5]], True)
    (slope,) = paddle.grad(cross_entropy(x, y, reduction="sum"), y)
    assert np.isinf(array(slope)[0, 1]), slope
    assert np.isfinite(array(slope)[0, ::2]).all(), slope


def tiny_numbers_become_zero_in_float16():
    tiny = np.exp(generator.uniform(-61, -54, 4000)).astype(np.float32)
    assert np.abs(array(tensor(tiny).astype("float16"))).max() > 1e-5  # what Paddle's cast makes of them
    same(np.count_nonzero(array(operators.cast(tensor(tiny), paddle.float16))), 0)
    everything = np.exp(generator.uniform(-80, 11, 20000)).astype(np.float32) * generator.choice([-1, 1], 20000)
    np.testing.assert_array_equal(array(operators.cast(tensor(everything), paddle.float16)), everything.astype("f2"))
    x = np.stack([np.zeros(200), np.linspace(-63, -50, 200)], 1).astype(np.float16)
    value, slope = with_gradient(CrossEntropyLoss(reduction="none"), x, tensor(np.zeros(200, np.int64)))
    same((np.count_nonzero(value), np.count_nonzero(slope)), (0, 0))


def small_weights_are_no_zeros():
    for dtype, size in ((np.float32, 1e-20), (np.float64, 1e-300), (np.float32, 2.0**-149)):
        for smoothing in (0.0, 0.1):
            spec = CrossEntropySpec(np.full(5, size, dtype), label_smoothing=smoothing)
            value, slope = with_gradient(ported.to_native(spec), X.astype(np.float32), tensor(Y))
            close(value, reference.value(spec, X.astype(np.float32), Y), f"{size}")
            close(slope, reference.gradient(spec, X.astype(np.float32), Y), f"{size}")


def large_sums_and_logits_stay_finite():
    x = np.array([[3e38, -3e38, 0.0], [-3e38, 3e38, 3e38]], np.float32)
    spec = CrossEntropySpec(np.array([1, -1, 0.5], np.float32), label_smoothing=0.5, reduction="sum")
    for target in (np.array([0, 1]), np.array([[1, 0.25, 0], [0, 0, 1]], np.float32)):
        value, slope = with_gradient(ported.to_native(spec), x, tensor(target))
        close(value, reference.value(spec, x, target), "value")
        close(slope, reference.gradient(spec, x, target), "gradient")
    many = np.zeros((2_000_000, 2), np.float32)
    close(
        array(cross_entropy(tensor(many), tensor(np.zeros(len(many), np.int64)))), np.float32(np.log(2)), "many", 1e-7
    )


def what_no_kernel_should_meet_is_refused():
    x, y = tensor(X), tensor(Y)
    for call, error_class, argument in (
        (lambda: cross_entropy(x, y, tensor(np.ones(4))), SpecValueError, "weight"),
        (lambda: cross_entropy(x, tensor(P.T)), SpecValueError, "target"),
        (lambda: cross_entropy(x, tensor(P), ignore_index=0), SpecValueError, "ignore_index"),
        (lambda: cross_entropy(x, tensor(Y[:, np.newaxis])), SpecValueError, "target"),
        (lambda: cross_entropy(x, tensor(Y > 0)), SpecTypeError, "target"),
        (lambda: cross_entropy(tensor(np.ones((4, 0))), y), SpecValueError, "input"),
        (lambda: CrossEntropyLoss(tensor([1.0, np.nan])), SpecValueError, "weight"),
        (lambda: CrossEntropyLoss(tensor([1, 2])), SpecTypeError, "weight"),
        (lambda: CrossEntropyLoss(label_smoothing=1.1), SpecValueError, "label_smoothing"),
        (lambda: cross_entropy(x, tensor([2**32 + 1, 0, 0, 0])), SpecIndexError, "target"),
    ):
        error = raised(call)
        same((type(error), error.argument), (error_class, argument), repr(error))


if __name__ == "__main__":
    run(
        the_implementation_maps_specs_both_ways,
        the_layer_is_one_of_paddles,
        every_form_and_dtype_is_right,
        derivatives_go_on,
        one_gradient_of_two_can_be_asked_for,
        in_a_static_graph_it_is_the_same,
        a_program_takes_any_number_of_rows,
        out_of_range_labels_nobody_looks_at_give_nan,
        mixed_precision_leaves_it_alone,
        ignored_rows_may_hold_anything,
        closed_classes_have_no_gradient_at_all,
        tiny_numbers_become_zero_in_float16,
        small_weights_are_no_zeros,
        large_sums_and_logits_stay_finite,
        what_no_kernel_should_meet_is_refused,
    )
