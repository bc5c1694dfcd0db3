"""adapters/mindspore.py in the real MindSpore."""

from __future__ import annotations

import mindspore
import numpy as np
from adapter_checks import Kit, common, raised, run, same, sample

import xent.adapters
from xent import dtypes
from xent.spec import Arguments, CrossEntropySpec

kit = Kit("mindspore", "int32", ("float16", "float32"), ("float16", "float32"))


def bad_arguments_meet_mindspores_own_exceptions():
    input, target = sample(kit, 2, "indices")
    for arguments, error_class, words in (
        (Arguments(label_smoothing=1.1), ValueError, "label_smoothing"),
        (Arguments(label_smoothing=0), TypeError, "label_smoothing"),
        (Arguments(ignore_index=True), TypeError, "ignore_index"),
        (Arguments(reduction="avg"), ValueError, "reduction"),
        (Arguments(weight=np.ones(5)), TypeError, "weight"),
        (Arguments(weight=dtypes.from_float64(np.ones(5), "bfloat16")), TypeError, "weight"),
        (Arguments(weight=[1.0]), TypeError, "weight"),
    ):
        error = raised(kit.evaluate, arguments, input, target)
        assert isinstance(error, error_class), repr(error)
        assert words in str(error), error
        same(xent.adapters.last_phase(), "construct")
    for arguments in (
        Arguments(label_smoothing=float("nan")),
        Arguments(weight=np.ones((5, 1), np.float32)),
        Arguments(weight=np.ones((2, 5), np.float32)),
    ):
        assert isinstance(raised(kit.evaluate, arguments, input, target, True), (ValueError, RuntimeError))
        same(xent.adapters.last_phase(), "forward")


def targets_go_in_as_they_are():
    input, target = sample(kit, 2, "indices")
    for dtype in ("int8", "int16", "int64", "uint8", "uint16", "uint32", "uint64"):
        error = raised(kit.evaluate, CrossEntropySpec(), input, np.abs(target).astype(dtype))
        assert isinstance(error, TypeError), repr(error)
        assert "mindspore." + dtype in str(error), error


def dtypes_that_it_lacks_are_its_own_refusal():
    for dtype in ("float64", "bfloat16"):
        for kind in ("indices", "probabilities"):
            input, target = sample(kit, 2, kind, dtype=dtype)
            error = raised(kit.evaluate, CrossEntropySpec(), input, target)
            assert isinstance(error, TypeError), repr(error)
            assert dtype in str(error), error


def errors_belong_to_their_own_call():
    input, target = sample(kit, 2, "indices")
    assert raised(kit.evaluate, CrossEntropySpec(), input, target[:2]) is not None
    kit.evaluate(CrossEntropySpec(), input, target, True)


def weights_of_every_kind_of_tensor():
    values = np.array([1.0, 2.0], np.float32)
    for weight in (mindspore.Tensor(values), mindspore.Parameter(mindspore.Tensor(values)), mindspore.mint.ones(2)):
        same(kit.adapter.from_call(weight), kit.adapter.from_native(mindspore.nn.CrossEntropyLoss(weight)))
        same(kit.adapter.from_call(weight).weight.shape, (2,))


def device_is_the_cpu():
    same(kit.adapter.device(), "cpu")


if __name__ == "__main__":
    run(
        *common(kit),
        bad_arguments_meet_mindspores_own_exceptions,
        targets_go_in_as_they_are,
        dtypes_that_it_lacks_are_its_own_refusal,
        errors_belong_to_their_own_call,
        weights_of_every_kind_of_tensor,
        device_is_the_cpu,
    )
