"""adapters/mint in the real MindSpore on a CPU: mint's own Python code on the stand-ins."""

from __future__ import annotations

import itertools
import threading

import mindspore
import numpy as np
from adapter_checks import Kit, common, raised, random_specs, run, same, sample
from mindspore.ops.function import nn_func

import xent.adapters
from xent import dtypes
from xent.adapters import mint
from xent.adapters.mint import standin
from xent.errors import Unavailable
from xent.spec import Arguments, CrossEntropySpec

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
LEAVES = ("log_softmax_ext", "nllloss_2d_op", "nllloss_impl", "masked_fill_op")


class MintKit(Kit):
    def __init__(self):
        self.name = "mindspore.mint"
        self.adapter = mint
        self.framework = mindspore
        self.loss = mindspore.mint.nn.CrossEntropyLoss
        self.index_dtype = "int64"
        self.weight_dtypes = ("float16", "bfloat16", "float32", "float64")
        self.input_dtypes = ("float16", "float32")
        self.ranks = (1, 2, 3, 4, 5)
        mint.prepare()


kit = MintKit()
OWN_WAY = {  # the shared checks that mint's peculiarities answer differently; each has its own check below
    "source_evaluates_to_the_same_loss",
    "from_call_refuses_what_the_constructor_refuses",
    "value_and_gradient_match_the_reference",
    "every_dtype_that_runs_keeps_its_dtype",
    "non_contiguous_arrays_become_non_contiguous_tensors",
}


def formula(spec, input, target):
    """S9 to S12 in float64, value and gradient, with no code of xent's: what `evaluate` must come near."""
    x = input.astype(np.float64)
    axis = min(1, x.ndim - 1)
    classes = x.shape[axis]
    weight = np.ones(classes) if spec.weight is None else spec.weight.astype(np.float64)
    wide = weight.reshape([classes if i == axis else 1 for i in range(x.ndim)])
    shifted = x - x.max(axis, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    e = spec.label_smoothing
    if target.dtype.kind == "f":
        coefficients = wide * (target.astype(np.float64) * (1 - e) + e / classes)
        divisor = x.size / classes
    else:
        taken = target != spec.ignore_index
        safe = np.where(taken, target, 0)
        one_hot = np.zeros(x.shape)
        np.put_along_axis(one_hot, np.expand_dims(safe, axis), 1.0, axis)
        coefficients = wide * ((1 - e) * one_hot + e / classes) * np.expand_dims(taken, axis)
        divisor = (weight[safe] * taken).sum()
    value = -(coefficients * log_p).sum(axis)
    gradient = np.exp(log_p) * coefficients.sum(axis, keepdims=True) - coefficients
    if spec.reduction == "none":
        return value, gradient
    if spec.reduction == "sum":
        return value.sum(), gradient
    if divisor == 0:
        return np.float64(np.nan), np.zeros_like(gradient)
    return value.sum() / divisor, gradient / divisor


def grid(dtype):
    """(name, spec, input, target): 5 ranks x 3 reductions x weight x 3 smoothings x 5 targets = 450."""
    generator = np.random.RandomState(7)
    for shape in ((5,), (8, 5), (3, 4, 6), (2, 3, 4, 2), (2, 3, 2, 2, 2)):
        axis = min(1, len(shape) - 1)
        rows = shape[:axis] + shape[axis + 1 :]
        input = (generator.standard_normal(shape) * 3).astype(dtype)
        indices = np.asarray(generator.randint(0, shape[axis], rows))
        probabilities = generator.random_sample(shape)
        probabilities = (probabilities / probabilities.sum(axis, keepdims=True)).astype(dtype)
        some = np.asarray(np.where(generator.random_sample(rows) < 0.4, -1, indices))
        given = generator.uniform(0.2, 2, shape[axis]).astype(dtype)
        targets = {
            "plain": (-100, indices),
            "inside": (1, indices),
            "some": (-1, some),
            "all": (255, np.full(rows, 255)),
            "probabilities": (-100, probabilities),
        }
        for reduction, weight, smoothing in itertools.product(("none", "mean", "sum"), (None, given), (0.0, 0.1, 1.0)):
            for kind, (ignore_index, target) in targets.items():
                name = f"{dtype} rank {len(shape)} {kind} {reduction} {weight is not None} {smoothing}"
                yield name, CrossEntropySpec(weight, ignore_index, reduction, smoothing), input, target


def check_grid(dtype, tolerance, step=1):
    for name, spec, input, target in itertools.islice(grid(dtype), 0, None, step):
        got = mint.evaluate(spec, input, target, gradient=True)
        value, gradient = formula(spec, input, target)
        np.testing.assert_allclose(got.value, value, tolerance, tolerance, err_msg=name)
        np.testing.assert_allclose(got.gradient, gradient, tolerance, tolerance, err_msg=name)
        same((got.value.shape, got.gradient.shape), (np.shape(value), input.shape), name)
        same((got.kernels, got.casts), ("stand-in", ()), name)


def float32_agrees_with_the_formula_on_450_cases():
    check_grid("float32", 2e-6)


def float16_agrees_as_far_as_rounded_log_probabilities_let_it():
    check_grid("float16", 2e-2, step=4)


def without_a_gradient_the_value_is_the_same():
    for name, spec, input, target in itertools.islice(grid("float32"), 0, None, 7):
        alone, both = (mint.evaluate(spec, input, target, gradient=gradient) for gradient in (False, True))
        assert alone.gradient is None
        same((alone.value.tobytes(), alone.kernels), (both.value.tobytes(), "stand-in"), name)


def ignored_rows_are_zero_whatever_the_memory_was():
    input, target = sample(kit, 2, "indices")
    for _ in range(5):
        [mindspore.Tensor(np.full(3, 7.5, np.float32)) + 1 for _ in range(50)]  # freed at once, for others to find
        got = mint.evaluate(CrossEntropySpec(reduction="none"), input, target, gradient=True)
        same(got.value[0], np.float32(0))
        same(got.gradient[0].tolist(), [0.0] * 5)


def minus_infinity_and_nan_are_ieee():
    bad = np.array([[1, np.nan, 2], [1, np.inf, 2], [1, -np.inf, 2], [1, -np.inf, 2]], np.float32)
    got = mint.evaluate(CrossEntropySpec(reduction="none"), bad, np.array([0, 0, 2, 1]), gradient=True)
    same(np.isnan(got.value).tolist(), [True, True, False, False])
    same(got.value[3], np.float32(np.inf))
    same(np.isnan(got.gradient).all(axis=1).tolist(), [True, True, False, False])


def float16_class_probabilities_with_mean_come_back_as_float32():
    """The document says that the output has input's dtype (mint/output/dtype). It does, but for this one."""
    for reduction, dtype in (("none", "float16"), ("sum", "float16"), ("mean", "float32")):
        input, target = sample(kit, 2, "probabilities", dtype="float16")
        got = mint.evaluate(CrossEntropySpec(reduction=reduction), input, target, gradient=True)
        same((got.value.dtype.name, got.gradient.dtype.name), (dtype, "float16"), reduction)


def index_dtypes_make_no_difference():
    for rank in kit.ranks:
        input, target = sample(kit, rank, "indices")
        for spec in (CrossEntropySpec(), CrossEntropySpec(label_smoothing=0.1, reduction="none")):
            wide, narrow = (mint.evaluate(spec, input, target.astype(dtype), gradient=True) for dtype in ("i8", "i4"))
            same((wide.value.tobytes(), wide.gradient.tobytes()), (narrow.value.tobytes(), narrow.gradient.tobytes()))


def an_ignore_index_beyond_int32_ignores_as_any_other():
    for ignore_index in (
        -(2**31) - 1,
        -(2**31),
        2**31 - 1,
        2**31,
        2**32 - 1,
        2**32,
        2**32 + 1,
        2**62,
        INT64_MAX,
        INT64_MIN,
    ):
        for rank, reduction, smoothing in itertools.product(kit.ranks, ("none", "mean", "sum"), (0.0, 0.1)):
            input, target = sample(kit, rank, "indices")
            target = np.where(target == -100, ignore_index, target)
            weight = np.array([0.5, 2, 1.5, 1, 0.25], np.float32)
            for spec in (CrossEntropySpec(w, ignore_index, reduction, smoothing) for w in (None, weight)):
                for labels in (target, np.full_like(target, ignore_index)):
                    what = f"{spec} rank {rank} {labels.tolist()}"
                    got = mint.evaluate(spec, input, labels, gradient=True)
                    value, gradient = formula(spec, input, labels)
                    np.testing.assert_allclose(got.value, value, 2e-6, 2e-6, err_msg=what)
                    np.testing.assert_allclose(got.gradient, gradient, 2e-6, 2e-6, err_msg=what)


def uint8_class_indices_run_in_every_rank():
    """Of mint's own code, weighted mean with smoothing gathers by class index, which MindSpore refuses for uint8."""
    weight = np.array([0.5, 2, 1.5, 1, 0.25], np.float32)
    for rank, reduction in itertools.product(kit.ranks, ("none", "mean", "sum")):
        input, target = sample(kit, rank, "indices")
        target = np.where(target == -100, 255, target)
        spec = CrossEntropySpec(weight, 255, reduction)
        narrow, wide = (mint.evaluate(spec, input, target.astype(dtype), gradient=True) for dtype in ("u1", "i8"))
        np.testing.assert_allclose(narrow.value, wide.value, 2e-6, 2e-6, err_msg=f"rank {rank} {reduction}")
        np.testing.assert_allclose(narrow.gradient, wide.gradient, 2e-6, 2e-6, err_msg=f"rank {rank} {reduction}")
        error = raised(
            mint.evaluate, CrossEntropySpec(weight, 255, "mean", 0.1), input, target.astype("u1"), gradient=True
        )
        assert "GatherD" in str(error), error


def sources_evaluate_to_the_same_loss():
    for spec in random_specs(kit, 100, seed=2):
        loss = eval(mint.source(spec), {"mindspore": mindspore})  # our own text: that it evaluates is the claim
        assert type(loss) is kit.loss
        same(mint.from_native(loss), spec, mint.source(spec))


def bad_arguments_meet_mints_own_exceptions():
    """mint's constructor takes anything; what the call does not look at, it does not refuse."""
    input, target = sample(kit, 2, "indices")
    many, its_target = sample(kit, 4, "indices")
    for arguments, error_class, words in (
        (Arguments(label_smoothing=1.1), ValueError, "label_smoothing must be in [0, 1]"),
        (Arguments(label_smoothing=-0.1), ValueError, "label_smoothing must be in [0, 1]"),
        (Arguments(reduction="avg"), ValueError, "avg"),
        (Arguments(ignore_index=1.5), TypeError, "ignore_index"),
        (Arguments(weight=[1.0]), TypeError, "weight must be Tensor or None"),
    ):
        for at, labels in ((input, target), (many, its_target)):
            for gradient in (False, True):
                error = raised(kit.evaluate, arguments, at, labels, gradient)
                assert isinstance(error, error_class), repr(error)
                assert words in str(error), error
                same(xent.adapters.last_phase(), "forward")
    empty = raised(kit.evaluate, Arguments(), input[:0], target[:0])
    assert "shape[0] == 0" in str(empty), empty
    value = kit.evaluate(Arguments(label_smoothing=float("nan")), input, target).value
    same(value.tobytes(), kit.evaluate(Arguments(), input, target).value.tobytes(), "nan smoothing is 0 to mint")


def what_the_kernels_refuse_the_stand_ins_refuse():
    for rank in (1, 4, 5):
        input, target = sample(kit, rank, "indices")
        for weight, labels, words in (
            (np.ones(4, np.float32), target, "weight must be defined for all 5 classes"),
            (np.ones(5, np.float16), target, "weight must have self's dtype"),
            (None, target.astype(np.int16), "target must be int32, int64, uint8"),
        ):
            error = raised(kit.evaluate, CrossEntropySpec(weight), input, labels)
            assert type(error) is RuntimeError, repr(error)
            assert words in str(error), error
            assert "stand-in" in str(error), error


def no_result_is_invented_for_a_class_that_is_not_there():
    for rank in (1, 2, 3, 4):
        input, target = sample(kit, rank, "indices")
        for wrong in (5, -1, -101, 2**31, 2**32 + 1, 2**40, -(2**32) + 2, INT64_MAX, INT64_MIN):
            labels = np.asarray(
                np.where(np.arange(target.size).reshape(target.shape) == target.size - 1, wrong, target)
            )
            error = raised(kit.evaluate, CrossEntropySpec(reduction="none"), input, labels, True)
            assert isinstance(error, Unavailable), repr(error)
            assert str(wrong) in str(error), error
    for wrong in (7, 2**31, 2**32 + 1, -(2**32) + 2, INT64_MIN):  # 2-D with mean runs on MindSpore's own CPU kernel
        error = raised(kit.evaluate, CrossEntropySpec(), *two_d_with(wrong))
        assert isinstance(error, ValueError), repr(error)
        assert "label must in scope" in str(error), error


def two_d_with(wrong):
    input, target = sample(kit, 2, "indices")
    target[1] = wrong
    return input, target


def bfloat16_is_mindspores_own_refusal():
    for kind in ("indices", "probabilities"):
        input, target = sample(kit, 2, kind, dtype="bfloat16")
        error = raised(kit.evaluate, CrossEntropySpec(), input, target, True)
        assert isinstance(error, RuntimeError), repr(error)
        assert "LogSoftmaxExt unregistered" in str(error), error


def the_leaves_are_put_back():
    before = [getattr(nn_func, name) for name in LEAVES]
    input, target = sample(kit, 3, "indices")
    kit.evaluate(CrossEntropySpec(), input, target, True)
    same([getattr(nn_func, name) for name in LEAVES], before)
    for arguments, labels in (
        (Arguments(label_smoothing=7), target),
        (Arguments(), target + 9),
        (Arguments(), target[:1]),
    ):
        raised(kit.evaluate, arguments, input, labels, True)
        same([getattr(nn_func, name) for name in LEAVES], before)
    try:
        with standin.stand_ins():
            assert nn_func.log_softmax_ext is not before[0]
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        same([getattr(nn_func, name) for name in LEAVES], before)


def other_threads_never_meet_a_stand_in():
    input = mindspore.Tensor(np.ones((2, 3), np.float32))
    found = []

    def elsewhere():
        found.append(raised(nn_func.log_softmax_ext, input, 1, dtype=input.dtype))

    with standin.stand_ins() as called:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        same(called, [])
        nn_func.log_softmax_ext(input, 1, dtype=input.dtype)
        same(called, ["log_softmax_ext"])
    assert "LogSoftmaxExt unregistered" in str(found[0]), found


def another_mindspore_is_told_apart():
    leaf = nn_func.nllloss_2d_op
    del nn_func.nllloss_2d_op
    try:
        error = raised(kit.evaluate, CrossEntropySpec(), *sample(kit, 2, "indices"))
    finally:
        nn_func.nllloss_2d_op = leaf
    assert isinstance(error, Unavailable), repr(error)
    assert "nllloss_2d_op" in str(error), error


def on_ascend_nothing_is_substituted():
    """As far as it goes without the device: no stand-in is in place, and the missing kernel says so itself."""
    seen = []
    leaf = nn_func.log_softmax_ext

    def spy(*args, **kwargs):
        seen.append(nn_func.log_softmax_ext is spy)
        return leaf(*args, **kwargs)

    nn_func.log_softmax_ext = spy
    try:
        for gradient in (False, True):
            error = raised(
                mint.evaluate_on, "ascend", CrossEntropySpec(), *sample(kit, 4, "indices"), gradient=gradient
            )
            assert type(error) is RuntimeError, repr(error)
            assert "LogSoftmaxExt unregistered" in str(error), error
    finally:
        nn_func.log_softmax_ext = leaf
    same(seen, [True, True])
    same(mint.device(), "cpu")


def non_contiguous_tensors_reach_the_loss():
    input, target = sample(kit, 4, "indices")
    seen = []
    original = kit.loss.construct

    def spy(self, logits, labels):
        seen.append((logits.is_contiguous(), labels.is_contiguous()))
        return original(self, logits, labels)

    kit.loss.construct = spy
    try:
        spec = CrossEntropySpec(reduction="none")
        got = kit.evaluate(spec, np.asfortranarray(input), np.asfortranarray(target), True)
        plain = kit.evaluate(spec, input, target, True)
    finally:
        kit.loss.construct = original
    same(seen, [(False, False), (True, True)])
    same((got.value.tobytes(), got.gradient.tobytes()), (plain.value.tobytes(), plain.gradient.tobytes()))


def bfloat16_weights_keep_their_bits():
    weight = dtypes.from_float64([0.5, -1.25, 3.0], "bfloat16")
    spec = CrossEntropySpec(weight)
    same(mint.from_native(mint.to_native(spec)), spec)
    same(mint.from_call(mindspore.Tensor([0.5, -1.25, 3.0], mindspore.bfloat16), 3, "sum", 0.5).ignore_index, 3)


if __name__ == "__main__":
    run(
        *(check for check in common(kit) if check.__name__ not in OWN_WAY),
        float32_agrees_with_the_formula_on_450_cases,
        float16_agrees_as_far_as_rounded_log_probabilities_let_it,
        without_a_gradient_the_value_is_the_same,
        ignored_rows_are_zero_whatever_the_memory_was,
        minus_infinity_and_nan_are_ieee,
        float16_class_probabilities_with_mean_come_back_as_float32,
        index_dtypes_make_no_difference,
        an_ignore_index_beyond_int32_ignores_as_any_other,
        uint8_class_indices_run_in_every_rank,
        sources_evaluate_to_the_same_loss,
        bad_arguments_meet_mints_own_exceptions,
        what_the_kernels_refuse_the_stand_ins_refuse,
        no_result_is_invented_for_a_class_that_is_not_there,
        bfloat16_is_mindspores_own_refusal,
        the_leaves_are_put_back,
        other_threads_never_meet_a_stand_in,
        another_mindspore_is_told_apart,
        on_ascend_nothing_is_substituted,
        non_contiguous_tensors_reach_the_loss,
        bfloat16_weights_keep_their_bits,
    )
