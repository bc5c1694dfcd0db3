"""Checks that every adapter must pass in its framework's own interpreter. The check_*.py scripts beside this file add
what is peculiar to a framework and run both; one line a check on stdout, ``ok NAME`` or ``FAILED NAME: message``.

Plain Python: nothing but NumPy and the framework is installed where this runs.
"""

from __future__ import annotations

import random
import sys
import traceback
import warnings

import numpy as np

import xent.adapters
from xent import dtypes, reference
from xent.spec import Arguments, CrossEntropySpec

WEIGHTS = {
    "float16": [0.5, -1.25, 65504.0, 2.0**-24],
    "bfloat16": [0.5, -1.25, 3.3895313892515355e38, 2.0**-133],
    "float32": [0.1, -1.25, 3.4028234663852886e38, 2.0**-149],
    "float64": [0.1, -1.25, 1.7976931348623157e308, 5e-324],
}


class Kit:
    """One adapter with its framework and what can be said of it: the input of the common checks."""

    def __init__(self, name, index_dtype, weight_dtypes, input_dtypes, unbatched=True):
        self.name = name
        self.adapter = xent.adapters.load("xent.adapters." + name)
        self.framework = __import__(name)
        self.loss = self.framework.nn.CrossEntropyLoss
        self.index_dtype = index_dtype
        self.weight_dtypes = weight_dtypes
        self.input_dtypes = input_dtypes
        self.ranks = (1, 2, 3, 4, 5) if unbatched else (2, 3, 4, 5)
        if hasattr(self.adapter, "prepare"):
            self.adapter.prepare()

    def tensor(self, array):
        return self.adapter.as_tensor(self.framework, array)

    def array(self, tensor):
        return self.adapter.as_array(self.framework, tensor)

    def evaluate(self, arguments, input, target, gradient=False):
        xent.adapters.reset_phases()
        return self.adapter.evaluate(arguments, input, target, gradient=gradient)


def run(*checks):
    """Runs the checks and exits 1 where one failed. A check is a function; its name is the line's name."""
    failed = 0
    for check in checks:
        name = check.__name__
        try:
            check()
            print("ok", name, flush=True)
        except Exception as error:
            failed += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            message = " ".join(f"{type(error).__name__} in {place.name}:{place.lineno}: {error}".split())
            print(f"FAILED {name}: {message[:600]}", flush=True)
            traceback.print_exc()
    sys.exit(1 if failed else 0)


def raised(function, *args, **kwargs):
    """The exception that a call raises; AssertionError where it raises none."""
    try:
        value = function(*args, **kwargs)
    except Exception as error:
        return error
    raise AssertionError(f"nothing raised, returned {value!r}")


def same(actual, expected, what=""):
    assert actual == expected, f"{what} {actual!r} is not {expected!r}"


def close(actual, expected, what, rtol=2e-5, atol=1e-5):
    same(dtypes.name(actual), dtypes.name(expected), f"{what}: dtype")
    same(actual.shape, expected.shape, f"{what}: shape")
    np.testing.assert_allclose(dtypes.to_float64(actual), dtypes.to_float64(expected), rtol, atol, err_msg=what)


def random_specs(kit, count, seed):
    """Valid specs over the weight dtypes that the framework's constructor takes."""
    pick = random.Random(seed)
    for _ in range(count):
        dtype = pick.choice([None, *kit.weight_dtypes])
        values = [pick.choice([*WEIGHTS[dtype], pick.gauss(0, 2)]) for _ in range(pick.randint(1, 9))] if dtype else []
        yield CrossEntropySpec(
            dtypes.from_float64(values, dtype) if dtype else None,
            pick.choice(
                [-100, -1, 0, 3, 255, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63), pick.randint(-(2**63), 2**63 - 1)]
            ),
            pick.choice(["none", "mean", "sum"]),
            pick.choice([0.0, 1.0, 0.1, 5e-324, 1 - 2.0**-53, pick.random()]),
        )


def sample(kit, rank, kind, seed=0, classes=5, dtype="float32"):
    """A plain input and target of that rank; with indices, some rows hold -100."""
    generator = np.random.RandomState(seed)
    shape = (classes,) if rank == 1 else (3, classes, 2, 3, 2)[:rank]
    input = dtypes.from_float64(generator.standard_normal(shape) * 2, dtype)
    if kind == "probabilities":
        target = generator.random_sample(shape)
        target /= target.sum(axis=min(1, rank - 1), keepdims=True)
        return input, dtypes.from_float64(target, dtype)
    target = generator.randint(0, classes, shape[:1] + shape[2:] if rank > 1 else ())
    if rank > 1:
        target[0] = -100
    return input, np.asarray(target, dtype=kit.index_dtype)


def common(kit):
    """The checks of one adapter, as a list for `run`."""
    adapter, name = kit.adapter, kit.name

    def version_is_the_frameworks():
        assert kit.framework.__version__.startswith(adapter.version())
        same(len(adapter.version().split(".")), 3)

    def from_native_inverts_to_native():
        for spec in random_specs(kit, 300, seed=1):
            loss = adapter.to_native(spec)
            assert isinstance(loss, kit.loss)
            same(adapter.from_native(loss), spec)

    def weight_keeps_its_dtype_and_bits():
        for dtype in kit.weight_dtypes:
            weight = dtypes.from_float64(WEIGHTS[dtype], dtype)
            loss = adapter.to_native(CrossEntropySpec(weight))
            same(str(loss.weight.dtype).lower().split(".")[-1], dtype)
            same(dtypes.bits(adapter.from_native(loss).weight).tolist(), dtypes.bits(weight).tolist())

    def from_native_takes_a_subclass():
        class Mine(kit.loss):
            pass

        spec = CrossEntropySpec(ignore_index=7, reduction="sum")
        same(adapter.from_native(Mine(ignore_index=7, reduction="sum")), spec)

    def from_native_refuses_other_objects():
        for other in (kit.framework.nn.MSELoss(), object(), kit.loss, None, CrossEntropySpec()):
            error = raised(adapter.from_native, other)
            assert isinstance(error, TypeError), repr(error)
            assert name + ".nn.CrossEntropyLoss" in str(error), error
            assert type(other).__name__ in str(error), error

    def source_evaluates_to_the_same_loss():
        for spec in random_specs(kit, 100, seed=2):
            loss = eval(adapter.source(spec), {name: kit.framework})  # our own text: that it evaluates is the claim
            assert type(loss) is kit.loss
            same(adapter.from_native(loss), spec, adapter.source(spec))

    def source_leaves_defaults_out():
        same(adapter.source(CrossEntropySpec()), name + ".nn.CrossEntropyLoss()")
        spec = CrossEntropySpec(ignore_index=255, label_smoothing=0.1)
        same(adapter.source(spec), name + ".nn.CrossEntropyLoss(ignore_index=255, label_smoothing=0.1)")

    def source_spells_what_has_no_literal():
        bad = Arguments(np.array([np.nan, np.inf], np.float32), True, "avg", float("nan"))
        text = adapter.source(bad)
        assert 'float("nan"), float("inf")]' in text, text
        assert text.endswith("ignore_index=True, reduction='avg', label_smoothing=float(\"nan\"))"), text

    def from_call_agrees_with_the_constructor():
        for args, kwargs in calls(kit):
            same(adapter.from_call(*args, **kwargs), adapter.from_native(kit.loss(*args, **kwargs)), (args, kwargs))

    def from_call_takes_numpy_weights():
        weight = np.array([1, 2], np.float32)
        same(adapter.from_call(weight), CrossEntropySpec(weight))
        same(adapter.from_call(weight=weight), CrossEntropySpec(weight))

    def from_call_refuses_what_the_constructor_refuses():
        for args, kwargs in (((), {"smoothing": 0.1}), ((None,) * 7, {}), ((None,), {"weight": None}), (([1.0],), {})):
            assert isinstance(raised(kit.loss, *args, **kwargs), TypeError)
            error = raised(adapter.from_call, *args, **kwargs)
            assert isinstance(error, TypeError), repr(error)
            for argument in kwargs:
                assert argument in str(error), error

    def value_and_gradient_match_the_reference():
        weight = np.array([0.3, 1.0, 2.5, 0.7, 1.1], np.float32)
        for rank in kit.ranks:
            for kind in ("indices", "probabilities"):
                input, target = sample(kit, rank, kind, seed=rank)
                for given in (None, weight):
                    for reduction in ("none", "mean", "sum"):
                        for smoothing in (0.0, 0.1):
                            for gradient in (False, True):
                                spec = CrossEntropySpec(given, -100, reduction, smoothing)
                                what = f"rank {rank} {kind} {spec} gradient {gradient}"
                                got = kit.evaluate(spec, input, target, gradient)
                                close(got.value, reference.value(spec, input, target), what)
                                if gradient:
                                    close(got.gradient, reference.gradient(spec, input, target), what)
                                else:
                                    assert got.gradient is None
                                same((got.casts, got.kernels), ((), "native"))

    def every_dtype_that_runs_keeps_its_dtype():
        for dtype in kit.input_dtypes:
            for kind in ("indices", "probabilities"):
                input, target = sample(kit, 2, kind, dtype=dtype)
                spec = CrossEntropySpec(reduction="none")
                got = kit.evaluate(spec, input, target, True)
                tolerance = {"rtol": 8 * dtypes.unit_roundoff(dtype), "atol": 64 * dtypes.unit_roundoff(dtype)}
                close(got.value, reference.value(spec, input, target), f"{dtype} {kind}", **tolerance)
                close(got.gradient, reference.gradient(spec, input, target), f"{dtype} {kind}", **tolerance)

    def non_contiguous_arrays_become_non_contiguous_tensors():
        input, target = sample(kit, 4, "indices")
        spec = CrossEntropySpec(reduction="none")
        plain = kit.evaluate(spec, input, target, True)
        seen = []
        forward = "construct" if name == "mindspore" else "forward"
        original = getattr(kit.loss, forward)

        def spy(self, logits, labels):
            seen.append((logits.is_contiguous(), labels.is_contiguous()))
            return original(self, logits, labels)

        setattr(kit.loss, forward, spy)
        try:
            got = kit.evaluate(spec, np.asfortranarray(input), np.asfortranarray(target), True)
            kit.evaluate(spec, input, target)
        finally:
            setattr(kit.loss, forward, original)
        same(seen, [(False, False), (True, True)])
        close(got.value, plain.value, "value")
        close(got.gradient, plain.gradient, "gradient")

    def strided_and_read_only_arrays_are_taken_quietly():
        input, target = sample(kit, 2, "indices")
        wide = np.repeat(np.repeat(input, 2, axis=0), 3, axis=1)[::2, ::3]
        wide.flags.writeable = False
        backwards = target[::-1]
        backwards.flags.writeable = False
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = kit.evaluate(CrossEntropySpec(reduction="none"), wide, backwards, True)
        close(got.value, reference.value(CrossEntropySpec(reduction="none"), input, target[::-1].copy()), "value")

    def inputs_are_not_written():
        input, target = sample(kit, 2, "indices")
        before = input.copy(), target.copy()
        kit.evaluate(CrossEntropySpec(label_smoothing=0.2), input, target, True)
        same((input.tobytes(), target.tobytes()), (before[0].tobytes(), before[1].tobytes()))

    def every_bfloat16_number_goes_in_and_comes_back():
        every = dtypes.from_bits(np.arange(65536, dtype=np.uint16), "bfloat16")
        pattern = np.arange(65536)
        numbers = every[(pattern & 0x7F80 != 0x7F80) | (pattern & 0x7F == 0)]  # all but nan, whose payload may change
        tensor = kit.tensor(numbers)
        assert "bfloat16" in str(tensor.dtype).lower()
        same(dtypes.bits(kit.array(tensor)).tolist(), dtypes.bits(numbers).tolist())

    def unknown_dtypes_are_refused_by_name():
        input, target = sample(kit, 2, "indices")
        error = raised(kit.evaluate, CrossEntropySpec(), input.astype(np.longdouble), target)
        assert isinstance(error, TypeError), repr(error)
        assert "longdouble" in str(error) or "float128" in str(error), error
        same(xent.adapters.last_phase(), "forward")

    def time_inside_the_framework_is_counted():
        input, target = sample(kit, 2, "indices")
        kit.evaluate(CrossEntropySpec(), input, target, True)
        assert xent.adapters.phase_seconds() > 0

    def the_last_phase_is_that_of_the_error():
        input, target = sample(kit, 2, "indices")
        assert isinstance(raised(kit.evaluate, CrossEntropySpec(), input, target.astype(np.int8), True), Exception)
        same(xent.adapters.last_phase(), "forward")
        kit.evaluate(CrossEntropySpec(), input, target, True)
        same(xent.adapters.last_phase(), "backward")

    return [check for check in locals().values() if callable(check) and hasattr(check, "__code__")]


def calls(kit):
    """Constructor calls that torch's twin constructors share: (args, kwargs)."""
    weight = kit.tensor(np.array([0.5, -1.0, 2.0], np.float32))
    yield (), {}
    yield (weight,), {}
    yield (), {"weight": weight}
    yield (weight,), {"ignore_index": 2, "label_smoothing": 0.25}
    yield (), {"reduction": "sum"}
    yield (None,), {"reduction": "none", "ignore_index": -1}
    if kit.name != "torch":
        yield (weight, 3), {}
        yield (None, 3, "sum"), {}
        yield (weight, 3, "none", 0.5), {}
