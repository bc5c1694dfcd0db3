"""The portable loss in the real oneflow: a module like oneflow's own, eager and in nn.Graph, every kernel on the sizes
that choose it, and every input that ends oneflow's process or is ignored by it.
"""

from __future__ import annotations

import copy

import numpy as np
import oneflow
from adapter_checks import raised, run, same

from xent import dtypes, reference
from xent.adapters.oneflow import CrossEntropyLoss, as_array, as_tensor, cross_entropy, fused
from xent.adapters.oneflow.layouts import Planes, Rows
from xent.adapters.oneflow.portable import kernel_of
from xent.adapters.oneflow.problem import Problem
from xent.adapters.oneflow.shifted import Shifted
from xent.conformance.judging import bound
from xent.errors import SpecIndexError, SpecTypeError, SpecValueError
from xent.spec import CrossEntropySpec

VARIANTS = {
    "plain": {},
    "weight": {"weight": True},
    "smoothing": {"label_smoothing": 0.1},
    "all": {"weight": True, "label_smoothing": 0.25},
}


def tensor(array):
    return as_tensor(oneflow, np.asarray(array))


def problem(shape, kind="indices", seed=0, dtype="float32"):
    """Input, target with some rows ignored (or probabilities), and a weight."""
    random = np.random.RandomState(seed)
    input = dtypes.from_float64(random.standard_normal(shape) * 3, dtype)
    classes = shape[0] if len(shape) == 1 else shape[1]
    if kind == "probabilities":
        target = random.random_sample(shape)
        target = (target / target.sum(axis=min(1, len(shape) - 1), keepdims=True)).astype(np.float32)
    else:
        target = np.asarray(random.randint(0, classes, shape[:1] + shape[2:] if len(shape) > 1 else ()))
        if kind == "ignored":
            target.reshape(-1)[::3] = -100
    return input, target, (random.random_sample(classes) + 0.5).astype(np.float32)


def answers(spec, input, target, upstream=1.0):
    x = tensor(input).requires_grad_(True)
    weight = None if spec.weight is None else tensor(spec.weight)
    loss = cross_entropy(x, tensor(target), weight, spec.ignore_index, spec.reduction, spec.label_smoothing)
    (loss * upstream).sum().backward()
    return as_array(oneflow, loss), as_array(oneflow, x.grad)


def within_the_bound(spec, input, target, what):
    exact = reference.exact(spec, input, target, True)
    for part, actual, expected, limit in zip(
        ("value", "gradient"),
        answers(spec, input, target),
        (exact.value, exact.gradient),
        (bound.value_bound(spec, input, target).total, bound.gradient_bound(spec, input, target).total),
        strict=True,
    ):
        actual = dtypes.to_float64(actual)
        same(actual.shape, expected.shape, f"{what}: {part}")
        same(np.isnan(actual).tolist(), np.isnan(expected).tolist(), f"{what}: nan in {part}")
        wrong = ~(np.isnan(expected) | (actual == expected) | (np.abs(actual - expected) <= limit))
        assert not wrong.any(), (what, part, actual[wrong][:3], expected[wrong][:3], limit[wrong][:3])


def specs(variant, weight, reductions=("none", "mean", "sum")):
    arguments = {**VARIANTS[variant]}
    if arguments.pop("weight", False):
        arguments["weight"] = weight
    for reduction in reductions:
        yield CrossEntropySpec(reduction=reduction, **arguments)


def every_size_and_layout_is_within_the_bound():
    shapes = [(5,), (8, 5), (300, 10), (6600, 10), (330, 200), (3, 5000), (3, 4, 5), (2, 10, 3300), (2, 3, 4, 5)]
    for shape in shapes:
        for kind in ("indices", "ignored", "probabilities"):
            if shape == (5,) and kind == "ignored":
                continue
            input, target, weight = problem(shape, kind)
            for variant in VARIANTS:
                for spec in specs(variant, weight, ("none", "mean") if input.size > 9999 else ("none", "mean", "sum")):
                    within_the_bound(spec, input, target, f"{shape} {kind} {variant} {spec.reduction}")


def hostile_rows_are_told_apart_by_every_kernel():
    for shape in ((6, 5), (330, 200), (6, 12000), (2, 10, 3300)):
        for kind in ("indices", "ignored", "probabilities"):
            input, target, weight = problem(shape, kind)
            weight[1::2] = 0
            if kind == "probabilities":
                target[0, 2::4] = 0
            values = np.moveaxis(input, 1, -1).reshape(-1, shape[1])  # a copy for planes
            values[1, :4] = [np.nan, 0, 1, 2]
            values[2, 2] = np.inf
            values[3] = -np.inf
            values[4] = 1e8
            values[5] -= 150 * (np.arange(shape[1]) != 3)  # all others are too improbable for float32
            values[0, 2::4] = -np.inf
            places = (shape[0], *shape[2:], shape[1])
            hostile = np.moveaxis(values.reshape(places), -1, 1)
            for variant in VARIANTS:
                for spec in specs(variant, weight, ("none", "mean") if input.size > 9999 else ("none", "mean", "sum")):
                    within_the_bound(spec, hostile, target, f"{shape} {kind} {variant} {spec.reduction}")


def rows_of_nothing_but_nan_trouble_are_told_apart():
    for shape in ((6, 5), (330, 200), (2, 10, 3300)):
        for ignored in (False, True):
            input, target, _ = problem(shape)
            input[1, shape[1] // 2] = np.nan
            target[1] = -100 if ignored else target[1]
            for spec in specs("plain", None):
                within_the_bound(spec, input, target, f"{shape} {ignored} {spec.reduction}")


def nothing_selected_leaves_no_gradient():
    for shape in ((6, 5), (330, 200), (2, 10, 3300)):
        input, target, weight = problem(shape)
        target[:] = -100
        for variant in VARIANTS:
            for spec in specs(variant, weight):
                value, slope = answers(spec, input, target)
                assert np.isnan(value).all() if spec.reduction == "mean" else not value.any(), (shape, variant, value)
                assert not slope.any(), (shape, variant)


def improbable_targets_without_other_trouble_stay_fast_and_right():
    input, target, _ = problem((330, 200))
    input[7] -= 120 * (np.arange(200) != (target[7] + 1) % 200)
    chosen = _kernel_of(input, target)
    assert isinstance(chosen, fused.Softmax), type(chosen)
    for reduction in ("none", "mean", "sum"):
        within_the_bound(CrossEntropySpec(reduction=reduction), input, target, reduction)


def nan_and_infinities_show_in_every_class_of_softmax():
    """What fused.Softmax relies on, in the oneDNN that is installed here."""
    for classes in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1000, 4099):
        for value in (np.nan, np.inf, -np.inf):
            places = sorted({0, classes // 3, classes // 2, classes - 1})
            x = np.random.RandomState(0).standard_normal((len(places), classes)).astype(np.float32)
            x[np.arange(len(places)), places] = value
            if value == -np.inf:
                x[:] = value
            p = oneflow._C.softmax(tensor(x), -1).numpy()
            assert not (p >= fused.TINY).any(), (classes, value)


def large_calls_choose_the_fast_kernels():
    input, target, weight = problem((330, 200))
    assert isinstance(_kernel_of(input, target), fused.Softmax)
    assert isinstance(_kernel_of(input, target, weight), fused.Softmax)
    assert isinstance(_kernel_of(input, target, smoothing=0.1), fused.LogSoftmax)
    assert isinstance(_kernel_of(input.astype(np.float64), target), Shifted)
    planes, labels, _ = problem((2, 100, 400))
    assert isinstance(_kernel_of(planes, labels), Shifted)


def _kernel_of(input, target, weight=None, smoothing=0.0):
    x = tensor(input)
    layout = Rows(x) if input.ndim == 2 else Planes(x)
    weight = None if weight is None else tensor(weight)
    call = Problem(x, layout, None, None, weight, "mean", smoothing, False)
    return kernel_of(call, tensor(target).reshape(*layout.column), -100, True, input.shape)


class Model(oneflow.nn.Module):
    """Logits with a factor of ones to train, so that its gradient is that of the logits times them."""

    def __init__(self, shape, loss):
        super().__init__()
        self.factor = oneflow.nn.Parameter(oneflow.ones(*shape))
        self.loss = loss

    def forward(self, input, target):
        return self.loss(input * self.factor, target)


class Training(oneflow.nn.Graph):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.add_optimizer(oneflow.optim.SGD(model.parameters(), lr=1.0))

    def build(self, input, target):
        loss = self.model(input, target)
        loss.sum().backward()
        return loss


def graph(shape, input, target, **arguments):
    """Value and gradient out of nn.Graph."""
    model = Model(shape, CrossEntropyLoss(**arguments))
    loss = Training(model)(tensor(input), tensor(target)).numpy()
    return loss, 1 - model.factor.numpy()


def graphs_give_what_eager_gives():
    for shape in ((6, 5), (40, 200), (2, 3, 4), (5,)):
        for kind in ("ignored", "probabilities"):
            if shape == (5,) and kind == "ignored":
                kind = "indices"
            input, target, weight = problem(shape, kind)
            variants = (("plain", "mean"), ("all", "none"), ("weight", "sum"), ("smoothing", "mean"))
            for variant, reduction in variants if shape == (6, 5) else variants[1:2]:
                arguments = {"reduction": reduction, **VARIANTS[variant]}
                if arguments.get("weight"):
                    arguments["weight"] = tensor(weight)
                value, slope = graph(shape, input, target, **arguments)
                x = tensor(input).requires_grad_(True)
                eager = CrossEntropyLoss(**arguments)(x, tensor(target))
                eager.sum().backward()
                what = f"{shape} {kind} {variant}"
                same(value.shape, tuple(eager.shape), what)
                np.testing.assert_allclose(value, eager.detach().numpy(), 2e-6, 1e-6, err_msg=what)
                np.testing.assert_allclose(slope, (x.grad * tensor(input)).numpy(), 1e-4, 1e-5, err_msg=what)


def graphs_answer_nan_for_labels_out_of_range():
    target = np.array([0, 5, -100, -1, 4])
    value, slope = graph((5, 5), np.full((5, 5), 2, np.float32), target, reduction="none")
    same(np.isnan(value).tolist(), [False, True, False, True, False])
    same(np.isnan(slope).all(axis=1).tolist(), [False, True, False, True, False])
    same(float(value[2]), 0.0)
    same(slope[2].tolist(), [0.0] * 5)


def unvalidated_labels_out_of_range_answer_nan():
    input, _, weight = problem((5, 5))
    for extra in ({}, {"weight": tensor(weight)}, {"label_smoothing": 0.1}):
        x = tensor(input).requires_grad_(True)
        loss = CrossEntropyLoss(reduction="none", validate=False, **extra)(x, tensor(np.array([0, 5, -100, -1, 4])))
        loss.sum().backward()
        same(np.isnan(loss.detach().numpy()).tolist(), [False, True, False, True, False])
        same(np.isnan(x.grad.numpy()).all(axis=1).tolist(), [False, True, False, True, False])
        same(x.grad.numpy()[2].tolist(), [0.0] * 5)


def labels_out_of_range_are_refused_with_their_place():
    for shape in ((6, 5), (330, 200), (2, 5, 3), (5,)):
        for bad in (-1, shape[-1] if len(shape) < 3 else 5, 2**40):
            for smoothing in (0.0, 0.1):
                input, target, _ = problem(shape)
                target.reshape(-1)[-1] = bad
                error = raised(cross_entropy, tensor(input), tensor(target), label_smoothing=smoothing)
                assert isinstance(error, SpecIndexError), (shape, error)
                assert str(bad) in str(error), error
                if len(shape) == 2:
                    assert f"target[{shape[0] - 1}]" in str(error), error


def what_ends_the_process_is_refused_first():
    x, y = oneflow.randn(3, 4), oneflow.zeros(3, dtype=oneflow.int64)
    for call, error_class, argument in (
        (lambda: cross_entropy(x, y, oneflow.ones(5)), SpecValueError, "weight"),
        (lambda: cross_entropy(x, y[:2]), SpecValueError, "target"),
        (lambda: cross_entropy(x, oneflow.ones(4, 3)), SpecValueError, "target"),
        (lambda: cross_entropy(x, oneflow.ones(3, 4), ignore_index=0), SpecValueError, "ignore_index"),
        (lambda: cross_entropy(oneflow.randn(3, 0), y), SpecValueError, "input"),
        (lambda: cross_entropy(y, y), SpecTypeError, "input"),
        (lambda: cross_entropy(x.numpy(), y), SpecTypeError, "input"),
        (lambda: cross_entropy(x, [0, 0, 0]), SpecTypeError, "target"),
        (lambda: cross_entropy(x, y > 0), SpecTypeError, "target"),
        (lambda: CrossEntropyLoss(np.ones(4)), SpecTypeError, "weight"),
        (lambda: CrossEntropyLoss(oneflow.ones(2, 2)), SpecValueError, "weight"),
        (lambda: CrossEntropyLoss(oneflow.tensor([1.0, float("nan")])), SpecValueError, "weight"),
        (lambda: CrossEntropyLoss(oneflow.tensor([1, 2])), SpecTypeError, "weight"),
        (lambda: CrossEntropyLoss(ignore_index=True), SpecTypeError, "ignore_index"),
        (lambda: CrossEntropyLoss(reduction="Mean"), SpecValueError, "reduction"),
        (lambda: CrossEntropyLoss(label_smoothing=1.5), SpecValueError, "label_smoothing"),
    ):
        error = raised(call)
        assert isinstance(error, error_class), repr(error)
        same(error.argument, argument)


def nothing_to_look_at_is_answered():
    for shape, target in (((0, 3), (0,)), ((2, 3, 0), (2, 0)), ((0, 3, 2), (0, 2))):
        for dtype in ("float32", "float64", "float16"):
            for reduction, expected in (("mean", "nan"), ("sum", "0.0"), ("none", target)):
                x = oneflow.zeros(*shape, dtype=oneflow.float32).to(getattr(oneflow, dtype)).requires_grad_(True)
                loss = CrossEntropyLoss(reduction=reduction)(x, oneflow.zeros(*target, dtype=oneflow.int64))
                same(str(loss.dtype), f"oneflow.{dtype}")
                same(tuple(loss.shape) if reduction == "none" else str(float(loss.numpy())), expected)


def the_module_is_one_of_oneflows():
    weight = oneflow.tensor([1.0, 2.0, 0.5])
    ours, native = CrossEntropyLoss(weight, ignore_index=1), oneflow.nn.CrossEntropyLoss(weight)
    assert isinstance(ours, oneflow.nn.Module)
    same(list(ours.state_dict()), list(native.state_dict()))
    same(list(CrossEntropyLoss().state_dict()), list(oneflow.nn.CrossEntropyLoss().state_dict()))
    same(list(ours.parameters()), [])
    other = CrossEntropyLoss(oneflow.zeros(3))
    other.load_state_dict(native.state_dict())
    same(other.weight.numpy().tolist(), [1.0, 2.0, 0.5])
    native.load_state_dict(ours.state_dict())
    twin = copy.deepcopy(ours)
    same((twin.ignore_index, twin.weight.numpy().tolist()), (1, [1.0, 2.0, 0.5]))
    same(str(ours.to(oneflow.float64).weight.dtype), "oneflow.float64")
    assert "ignore_index=1" in repr(ours), repr(ours)


def gradients_flow_through_what_stands_around_the_loss():
    for shape in ((6, 5), (330, 200), (2, 5, 3)):
        for kind in ("ignored", "probabilities"):
            input, target, _ = problem(shape, kind)
            spec = CrossEntropySpec()
            _, once = answers(spec, input, target)
            _, scaled = answers(spec, input, target, upstream=3.0)
            np.testing.assert_allclose(scaled, 3 * once, 1e-5, 1e-7)
            x = tensor(input).requires_grad_(True)
            loss = CrossEntropyLoss()(x * 2.0, tensor(target))
            loss.backward()
            _, doubled = answers(spec, input * 2, target)
            np.testing.assert_allclose(x.grad.numpy(), 2 * doubled, 1e-5, 1e-7)


def a_graph_that_is_kept_can_be_run_again():
    for shape in ((6, 5), (330, 200), (2, 5, 3)):
        for arguments in ({}, {"label_smoothing": 0.1}, {"reduction": "none"}):
            input, target, _ = problem(shape, "ignored")
            x = tensor(input).requires_grad_(True)
            loss = CrossEntropyLoss(**arguments)(x, tensor(target)).sum()
            first, second = (oneflow.autograd.grad(loss, x, retain_graph=True)[0].numpy() for _ in range(2))
            same(first.tobytes(), second.tobytes(), f"{shape} {arguments}")


def small_calls_can_be_differentiated_twice():
    step, random = 1e-5, np.random.RandomState(7)
    for shape in ((6, 5), (2, 5, 3)):
        for kind in ("indices", "probabilities"):
            for variant in VARIANTS:
                input, target, weight = problem(shape, kind, dtype="float64")
                (spec,) = specs(variant, weight, ("mean",))
                along = random.standard_normal(shape)
                x = tensor(input).requires_grad_(True)
                loss = cross_entropy(
                    x,
                    tensor(target),
                    None if spec.weight is None else tensor(weight),
                    label_smoothing=spec.label_smoothing,
                )
                (first,) = oneflow.autograd.grad(loss, x, create_graph=True)
                (second,) = oneflow.autograd.grad((first * tensor(along)).sum(), x)
                after, before = (answers(spec, input + sign * step * along, target)[1] for sign in (1, -1))
                numeric = (after - before) / (2 * step)
                np.testing.assert_allclose(second.numpy(), numeric, 1e-6, 1e-9, err_msg=f"{shape} {kind} {variant}")


def arguments_are_left_as_they_came():
    for shape in ((6, 5), (330, 200), (6, 12000), (2, 10, 3300)):
        for kind in ("ignored", "probabilities"):
            input, target, weight = problem(shape, kind)
            x, y, w = tensor(input).requires_grad_(True), tensor(target), tensor(weight)
            cross_entropy(x, y, w).backward()
            for left, came in ((x.detach(), input), (y, target), (w, weight)):
                same(left.numpy().tobytes(), came.tobytes(), f"{shape} {kind}")


def slices_of_larger_tensors_are_read_where_they_start():
    """A batch that is cut out of a tensor in memory: input, target and weight alike."""
    for shape in ((12, 5), (160, 300), (160, 100), (32, 40, 20)):
        for kind in ("indices", "probabilities"):
            for smoothing in (0.0, 0.1):
                input, target, weight = problem(shape, kind)
                half, both = shape[0] // 2, np.concatenate((weight[::-1], weight))
                whole = tensor(input).requires_grad_(True)
                loss = cross_entropy(
                    whole[half:], tensor(target)[half:], tensor(both)[len(weight) :], label_smoothing=smoothing
                )
                loss.backward()
                spec = CrossEntropySpec(weight, label_smoothing=smoothing)
                value, slope = answers(spec, np.ascontiguousarray(input[half:]), np.ascontiguousarray(target[half:]))
                same(float(loss.numpy()), float(value), f"{shape} {kind} {smoothing}")
                np.testing.assert_array_equal(whole.grad.numpy()[half:], slope, err_msg=f"{shape} {kind} {smoothing}")


def without_gradients_none_is_prepared():
    input, target, _ = problem((6, 5))
    assert not CrossEntropyLoss()(tensor(input), tensor(target)).requires_grad
    with oneflow.no_grad():
        assert not CrossEntropyLoss()(tensor(input).requires_grad_(True), tensor(target)).requires_grad


def sure_predictions_never_lose_below_zero():
    x = np.full((64, 5), -30, np.float32)
    x[:, 2] = 30
    for shape in ((64, 5), (1, 5, 64)):
        input = x.T[None] if len(shape) == 3 else x
        target = np.full(shape[:1] + shape[2:], 2)
        losses = cross_entropy(tensor(input), tensor(target), reduction="none").numpy()
        assert (losses >= 0).all(), losses.min()


if __name__ == "__main__":
    run(
        every_size_and_layout_is_within_the_bound,
        hostile_rows_are_told_apart_by_every_kernel,
        rows_of_nothing_but_nan_trouble_are_told_apart,
        nothing_selected_leaves_no_gradient,
        improbable_targets_without_other_trouble_stay_fast_and_right,
        nan_and_infinities_show_in_every_class_of_softmax,
        large_calls_choose_the_fast_kernels,
        graphs_give_what_eager_gives,
        graphs_answer_nan_for_labels_out_of_range,
        unvalidated_labels_out_of_range_answer_nan,
        labels_out_of_range_are_refused_with_their_place,
        what_ends_the_process_is_refused_first,
        nothing_to_look_at_is_answered,
        the_module_is_one_of_oneflows,
        gradients_flow_through_what_stands_around_the_loss,
        a_graph_that_is_kept_can_be_run_again,
        small_calls_can_be_differentiated_twice,
        arguments_are_left_as_they_came,
        slices_of_larger_tensors_are_read_where_they_start,
        without_gradients_none_is_prepared,
        sure_predictions_never_lose_below_zero,
    )
