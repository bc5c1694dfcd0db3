"""The adapter of Paddle's own loss in the real Paddle: what it maps, and every fact that its docstring states."""

from __future__ import annotations

import numpy as np
import paddle
from adapter_checks import Kit, close, common, raised, run, same, sample

import xent.adapters
from xent import dtypes, reference
from xent.errors import SpecValueError
from xent.spec import Arguments, CrossEntropySpec

kit = Kit("paddle", "int64", ("float16", "bfloat16", "float32", "float64"), ("float32", "float64"), unbatched=False)
# Of these Paddle has other answers, or the shared check builds on arguments that it takes otherwise; see below.
OWN = {
    "source_leaves_defaults_out", "source_spells_what_has_no_literal", "from_call_refuses_what_the_constructor_refuses",
    "value_and_gradient_match_the_reference", "every_dtype_that_runs_keeps_its_dtype", "inputs_are_not_written",
}  # fmt: skip
X = np.array([[0.5, -1.0, 2.0, 0.0], [1.0, 0.0, -0.5, 3.0], [-2.0, 1.5, 0.25, 1.0]], np.float32)
Y = np.array([1, 3, 0])
W = np.array([1.0, 2.0, 0.5, 4.0], np.float32)
P = np.array([[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]], np.float32)


def value(target, input=X, gradient=False, **arguments):
    got = kit.evaluate(Arguments(**arguments), input, np.asarray(target), gradient)
    return (got.value, got.gradient) if gradient else got.value


def right(target, input=X, **arguments):
    return reference.value(CrossEntropySpec(**arguments), input, np.asarray(target))


def differs(got, expected, what=""):
    assert np.shape(got) != np.shape(expected) or not np.allclose(got, expected, 1e-3, equal_nan=True), f"{what} {got}"


def source_names_the_axis_and_the_kind_of_target():
    source = kit.adapter.source
    same(source(CrossEntropySpec()), "paddle.nn.CrossEntropyLoss(axis=1)")
    same(source(CrossEntropySpec(ignore_index=255), "indices"), "paddle.nn.CrossEntropyLoss(ignore_index=255, axis=1)")
    for kind, soft in (("indices", False), ("probabilities", True)):
        for spec in (CrossEntropySpec(), CrossEntropySpec(W, 3, "sum", 0.1)):
            # Our own text: that it evaluates is the claim.
            for loss in (eval(source(spec, kind), {"paddle": paddle}), kit.adapter.to_native(spec, kind)):
                same((kit.adapter.from_native(loss), loss.soft_label, loss.axis), (spec, soft, 1))
    bad = source(Arguments(np.array([np.nan, np.inf], np.float32), True, "avg", float("nan")))
    end = "ignore_index=True, reduction='avg', label_smoothing=float(\"nan\"), axis=1)"
    assert 'float("nan"), float("inf")]' in bad, bad
    assert bad.endswith(end), bad


def from_call_has_paddles_order():
    weight = kit.tensor(W)
    for args, kwargs in (
        ((weight, 3, "sum", True, 1, True, 0.25, "mine"), {}),
        ((weight, 3, "none", False, -1, True, 0.5), {}),
        ((None, 3), {"soft_label": True, "axis": 0, "name": None}),
    ):
        same(kit.adapter.from_call(*args, **kwargs), kit.adapter.from_native(kit.loss(*args, **kwargs)))
    for args, kwargs in (((), {"smoothing": 0.1}), ((None,) * 9, {}), ((None,), {"weight": None})):
        for call in (kit.loss, kit.adapter.from_call):
            error = raised(call, *args, **kwargs)
            assert isinstance(error, TypeError), repr(error)
    assert isinstance(raised(kit.adapter.from_call, [1.0]), TypeError)


def probabilities_for_logits_have_no_spec():
    for error in (
        raised(kit.adapter.from_call, use_softmax=False),
        raised(kit.adapter.from_native, kit.loss(use_softmax=False)),
    ):
        assert isinstance(error, SpecValueError), repr(error)
        same((error.argument, error.rule), ("use_softmax", "S5"))
        assert "False" in str(error), error


def values_and_gradients_are_right_where_it_keeps_to_the_rules():
    seen = 0
    for rank in kit.ranks:
        for kind in ("indices", "probabilities"):
            input, target = sample(kit, rank, kind, seed=rank)
            for weight in (None, np.array([0.3, 1.0, 2.5, 0.7, 1.1], np.float32)):
                for reduction in ("none", "mean", "sum"):
                    for smoothing in (0.0, 0.1):
                        soft = kind == "probabilities" or smoothing > 0
                        if soft and (weight is not None or reduction == "none" or (smoothing and rank > 2)):
                            continue
                        spec = CrossEntropySpec(weight, -100, reduction, smoothing)
                        labels = np.abs(target) % 5 if smoothing or weight is None else target
                        labels = target if kind == "probabilities" else labels
                        got = kit.evaluate(spec, input, labels, True)
                        what = f"rank {rank} {kind} {spec}"
                        close(got.value, reference.value(spec, input, labels), what)
                        close(got.gradient, reference.gradient(spec, input, labels), what)
                        same((got.casts, got.kernels, kit.evaluate(spec, input, labels).gradient), ((), "native", None))
                        seen += 1
    same(seen, 36)


def every_dtype_that_runs_keeps_its_dtype():
    for dtype in kit.input_dtypes:
        for kind in ("indices", "probabilities"):
            input, target = sample(kit, 2, kind, dtype=dtype)
            spec = CrossEntropySpec(reduction="sum")
            close(kit.evaluate(spec, input, target, True).value, reference.value(spec, input, target), dtype)
    for dtype in ("float16", "bfloat16"):
        assert isinstance(raised(value, Y, dtypes.from_float64(X, dtype)), RuntimeError)
    same(value(Y, weight=W.astype(np.float64)).dtype.name, "float64")
    assert isinstance(raised(value, P.astype(np.float64)), ValueError)


def inputs_are_not_written():
    before = X.tobytes(), Y.tobytes()
    value(Y, gradient=True, label_smoothing=0.2)
    same((X.tobytes(), Y.tobytes()), before)


def losses_end_at_64():
    for low in (-65.0, -1000.0, -np.inf):
        far = np.array([[low, 0.0, 0.0]], np.float32)
        found = value([0], far, reduction="none")
        close(found, np.array([64 + np.log(2)], np.float32), f"{low}")
        close(value([1], far, True)[1][0, 0], np.float32(np.exp(-64) / 2), f"{low}", atol=0)


def ignored_rows_count_in_some_means():
    some = [1, -100, 0]
    whole = right(some, reduction="sum")
    close(value(some), np.float32(whole / 3), "unweighted, negative")
    close(value(some, reduction="none"), right(some, reduction="none"), "none")
    close(value(some, weight=W), right(some, weight=W), "weighted")
    close(value([1, 2, 0], ignore_index=2), right([1, 2, 0], ignore_index=2), "non-negative")
    for arguments in ({}, {"weight": W}, {"ignore_index": 2}):
        same(float(value([arguments.get("ignore_index", -100)] * 3, **arguments)), 0.0)
    close(value([3] * 3, weight=np.full(4, 1e-20, np.float32)), np.float32(3e-20 * right([3] * 3)), "tiny", atol=0)


def smoothing_makes_probabilities_of_indices():
    assert isinstance(raised(value, [1, -100, 0], label_smoothing=0.1), ValueError)
    assert isinstance(raised(value, [1, 255, 0], label_smoothing=0.1, ignore_index=255), ValueError)
    smooth = {"label_smoothing": 0.1, "reduction": "none"}
    close(value([1, 2, 0], ignore_index=2, **smooth), right([1, 2, 0], **smooth)[:, np.newaxis], "not ignored")
    close(value(Y, ignore_index=2, label_smoothing=0.1), np.float32(right(Y, label_smoothing=0.1) / 4), "mean")
    close(value(P, ignore_index=0), np.float32(right(P, reduction="sum") / 9), "mean of probabilities, 3 of them 0")


def weight_multiplies_whole_rows_of_probabilities():
    rows = right(P, reduction="none")
    factors = (P * W).sum(1)
    close(value(P, weight=W, reduction="none"), (rows * factors)[:, np.newaxis], "none")
    close(value(P, weight=W), np.float32((rows * factors).sum() / factors.sum()), "mean")
    differs(value(Y, weight=W, label_smoothing=0.1), right(Y, weight=W, label_smoothing=0.1))


def the_last_dimension_is_taken_for_the_classes():
    x, y, p = X[:, :, np.newaxis].repeat(3, 2), Y[:, np.newaxis].repeat(3, 1), P[:, :, np.newaxis].repeat(3, 2)
    assert isinstance(raised(value, y, x, label_smoothing=0.1), ValueError)
    assert isinstance(raised(value, p, x, weight=W), ValueError)
    differs(value(p, x, label_smoothing=0.1), right(p, x, label_smoothing=0.1))
    close(value(y, x, weight=W), right(y, x, weight=W), "indices")


def the_gradient_takes_rows_for_probabilities():
    found, slope = value(3 * P, gradient=True, reduction="sum")
    close(found, right(3 * P, reduction="sum"), "value")
    close(slope, reference.gradient(CrossEntropySpec(reduction="sum"), X, P) - 2 * P, "gradient")


def class_indices_are_read_as_32_bits():
    close(value([2**32 + 1, 3, 0]), right(Y), "2**32 + 1")
    for dtype in ("int8", "uint8", "int16"):
        assert isinstance(raised(value, Y.astype(dtype)), RuntimeError)
    close(value(Y.astype(np.int32)), right(Y), "int32")
    for labels in ([1, 4, 0], [1, -1, 0]):
        assert isinstance(raised(value, labels), IndexError)
    assert isinstance(raised(value, Y, ignore_index=2**31), IndexError)


def invalid_arguments_meet_paddles_own_exceptions():
    for bad in (-0.1, float("nan")):
        close(value(Y, label_smoothing=bad), right(Y), f"label_smoothing {bad}")
    for arguments in ({"label_smoothing": 1.1}, {"reduction": "avg"}):
        error = raised(value, Y, **arguments)
        assert isinstance(error, ValueError), repr(error)
        same(xent.adapters.last_phase(), "forward")


def large_means_add_one_by_one():
    found = value(np.zeros(2_000_000, np.int64), np.zeros((2_000_000, 2), np.float32))
    assert 1e-4 < abs(float(found) / np.log(2) - 1) < 1e-2, found


def arrays_that_it_misreads_or_lacks_are_refused_by_name():
    for dtype in ("uint16", "uint32", "uint64"):
        error = raised(value, Y.astype(dtype))
        assert isinstance(error, TypeError), repr(error)
        assert dtype in str(error), error
    same(str(paddle.to_tensor(np.array([1], np.uint16)).dtype), "paddle.bfloat16")
    close(value(Y.astype(">i8"), X.astype(">f4")), right(Y), "big-endian")


def classes_last_are_the_same_loss():
    spec = CrossEntropySpec(W, reduction="sum")
    same(kit.adapter.from_native(kit.loss(kit.tensor(W), reduction="sum")), spec)
    x, y = X[:, :, np.newaxis].repeat(2, 2), Y[:, np.newaxis].repeat(2, 1)
    last = kit.loss(kit.tensor(W), reduction="sum")(kit.tensor(np.moveaxis(x, 1, -1)), kit.tensor(y))
    close(kit.array(last), kit.evaluate(spec, x, y).value, "axis")


if __name__ == "__main__":
    run(
        *(check for check in common(kit) if check.__name__ not in OWN),
        source_names_the_axis_and_the_kind_of_target,
        from_call_has_paddles_order,
        probabilities_for_logits_have_no_spec,
        values_and_gradients_are_right_where_it_keeps_to_the_rules,
        every_dtype_that_runs_keeps_its_dtype,
        inputs_are_not_written,
        losses_end_at_64,
        ignored_rows_count_in_some_means,
        smoothing_makes_probabilities_of_indices,
        weight_multiplies_whole_rows_of_probabilities,
        the_last_dimension_is_taken_for_the_classes,
        the_gradient_takes_rows_for_probabilities,
        class_indices_are_read_as_32_bits,
        invalid_arguments_meet_paddles_own_exceptions,
        large_means_add_one_by_one,
        arrays_that_it_misreads_or_lacks_are_refused_by_name,
        classes_last_are_the_same_loss,
    )
