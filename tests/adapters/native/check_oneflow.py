"""adapters/oneflow.py in the real oneflow. Inputs that end the process (a weight of the wrong length, a batch mismatch,
unbatched input) stay out: they are the worker's business.
"""

from __future__ import annotations

import numpy as np
import oneflow
from adapter_checks import Kit, close, common, raised, run, same, sample

import xent.adapters
from xent import dtypes, reference
from xent.errors import Unavailable
from xent.spec import Arguments, CrossEntropySpec

kit = Kit("oneflow", "int64", ("float16", "bfloat16", "float32", "float64"), ("float32", "float64"), unbatched=False)


def bad_arguments_meet_oneflows_own_exceptions():
    input, target = sample(kit, 2, "indices")
    for arguments, error_class in (
        (Arguments(label_smoothing=1.1), ValueError),
        (Arguments(reduction="avg"), AssertionError),
        (Arguments(weight=[1.0]), TypeError),
    ):
        error = raised(kit.evaluate, arguments, input, target)
        assert type(error) is error_class, repr(error)
        same(xent.adapters.last_phase(), "construct")


def dtypes_without_a_kernel_are_its_own_refusal():
    for dtype in ("float16", "bfloat16"):
        for kind in ("indices", "probabilities"):
            input, target = sample(kit, 2, kind, dtype=dtype)
            error = raised(kit.evaluate, CrossEntropySpec(), input, target)
            assert isinstance(error, RuntimeError), repr(error)
            same(xent.adapters.last_phase(), "forward")


def targets_go_in_as_they_are():
    input, target = sample(kit, 2, "indices")
    spec = CrossEntropySpec()
    close(kit.evaluate(spec, input, target.astype(np.int32)).value, reference.value(spec, input, target), "int32")
    for dtype in ("int8", "uint8"):
        error = raised(kit.evaluate, spec, input, np.abs(target).astype(dtype))
        assert isinstance(error, RuntimeError), repr(error)
    for dtype in ("int16", "uint16", "uint32", "uint64", "complex64"):
        error = raised(kit.evaluate, spec, input, np.abs(target).astype(dtype))
        assert isinstance(error, TypeError), repr(error)
        assert dtype in str(error), error


def big_endian_arrays_keep_their_values():
    input, target = sample(kit, 2, "indices")
    spec = CrossEntropySpec()
    swapped = kit.evaluate(spec, input.astype(">f4"), target.astype(">i8"))
    close(swapped.value, kit.evaluate(spec, input, target).value, "big-endian")


def weights_of_every_kind_of_tensor():
    leaf = oneflow.nn.Parameter(oneflow.tensor([1.0, 2.0]))
    for weight in (leaf, leaf * 1, oneflow.tensor([1.0, 9.0, 2.0, 9.0]).reshape(2, 2).permute(1, 0)[0]):
        spec = kit.adapter.from_call(weight)
        same(spec, CrossEntropySpec(np.array([1, 2], np.float32)))
        same(kit.adapter.from_native(oneflow.nn.CrossEntropyLoss(weight)), spec)


def its_mock_of_torch_is_named_and_refused():
    from oneflow import mock_torch

    torch_adapter = xent.adapters.load("xent.adapters.torch")
    with mock_torch.enable():
        import torch

        assert torch.nn.CrossEntropyLoss is oneflow.nn.CrossEntropyLoss
        for error in (
            raised(torch_adapter.version),
            raised(torch_adapter.to_native, CrossEntropySpec()),
            raised(torch_adapter.from_native, torch.nn.CrossEntropyLoss()),
        ):
            assert isinstance(error, Unavailable), repr(error)
            assert "oneflow" in str(error), error
        # Its tensor is an oneflow tensor, whatever the module is called.
        same(xent.adapters.framework_of(torch.ones(2)), "oneflow")
        same(kit.adapter.from_call(torch.ones(2)), CrossEntropySpec(np.ones(2, np.float32)))


def bfloat16_weight_is_bfloat16_there():
    weight = dtypes.from_float64([0.5, 3.0], "bfloat16")
    same(str(kit.adapter.to_native(CrossEntropySpec(weight)).weight.dtype), "oneflow.bfloat16")


if __name__ == "__main__":
    run(
        *common(kit),
        bad_arguments_meet_oneflows_own_exceptions,
        dtypes_without_a_kernel_are_its_own_refusal,
        targets_go_in_as_they_are,
        big_endian_arrays_keep_their_values,
        weights_of_every_kind_of_tensor,
        its_mock_of_torch_is_named_and_refused,
        bfloat16_weight_is_bfloat16_there,
    )
