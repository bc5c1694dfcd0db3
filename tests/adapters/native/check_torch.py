"""adapters/torch.py in the real torch."""

from __future__ import annotations

import itertools
import sys
import types
import warnings

import numpy as np
import torch
from adapter_checks import Kit, close, common, raised, run, same, sample

import xent.adapters
from xent import reference
from xent.errors import Unavailable
from xent.spec import Arguments, CrossEntropySpec

FLOATS = ("float16", "bfloat16", "float32", "float64")
kit = Kit("torch", "int64", FLOATS, FLOATS)


def legacy_arguments_fold_as_torch_folds_them():
    for size_average, reduce, reduction in itertools.product(
        (None, True, False), (None, True, False), ("mean", "sum", "none")
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecation warning
            loss = torch.nn.CrossEntropyLoss(size_average=size_average, reduce=reduce, reduction=reduction)
        spec = kit.adapter.from_call(size_average=size_average, reduce=reduce, reduction=reduction)
        same(spec, kit.adapter.from_native(loss), (size_average, reduce, reduction))


def positions_are_torchs():
    weight = torch.tensor([1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for args in (
            (weight, None, 3),
            (weight, False, 3),
            (weight, True, 3, False),
            (None, None, 3, None, "sum", 0.5),
        ):
            same(kit.adapter.from_call(*args), kit.adapter.from_native(torch.nn.CrossEntropyLoss(*args)), args)
    # Another framework's second position, ignore_index, is size_average here: 255 means "average".
    same(kit.adapter.from_call(None, 255), CrossEntropySpec())


def weights_of_every_kind_of_tensor():
    leaf = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    strided = torch.arange(6.0)[::2]
    for weight in (leaf, leaf * 1, strided, strided.to(torch.bfloat16)):
        same(kit.adapter.from_call(weight).weight.shape, tuple(weight.shape))
        same(kit.adapter.from_native(torch.nn.CrossEntropyLoss(weight)), kit.adapter.from_call(weight))


def bad_arguments_meet_torchs_own_exceptions():
    input, target = sample(kit, 2, "indices")
    for arguments, words in (
        (Arguments(label_smoothing=1.1), "label_smoothing"),
        (Arguments(reduction="avg"), "avg"),
        (Arguments(weight=np.ones(4, np.float32)), "weight"),
        (Arguments(weight=np.ones((5, 1), np.float32)), "weight"),
        (Arguments(weight=np.ones((), np.float32)), "weight"),
        (Arguments(weight=np.ones(5)), "Float"),
    ):
        kit.adapter.to_native(arguments)  # torch's constructor checks nothing
        error = raised(kit.evaluate, arguments, input, target)
        assert words in str(error), error
        assert type(error).__module__ == "builtins", type(error)
        same(xent.adapters.last_phase(), "forward")
    error = raised(kit.evaluate, Arguments(weight=[1.0]), input, target)
    assert isinstance(error, TypeError), repr(error)
    same(xent.adapters.last_phase(), "construct")


def targets_go_in_as_they_are():
    input, _ = sample(kit, 2, "indices")
    for dtype in ("int32", "int16", "int8", "uint16", "uint32", "uint64", "bool"):
        error = raised(kit.evaluate, CrossEntropySpec(), input, np.array([1, 0, 1], dtype))
        assert isinstance(error, (RuntimeError, TypeError)), repr(error)
    # Not in the document, which requires long: torch takes uint8.
    got = kit.evaluate(CrossEntropySpec(), input, np.array([1, 0, 1], np.uint8))
    close(got.value, reference.value(CrossEntropySpec(), input, np.array([1, 0, 1])), "uint8")


def probabilities_of_another_dtype_go_in_as_they_are():
    input, target = sample(kit, 2, "probabilities")
    for dtype, result in (("float64", "float64"), ("float16", "float32")):  # torch promotes; S14 says input's dtype
        same(kit.evaluate(CrossEntropySpec(), input, target.astype(dtype)).value.dtype.name, result)


def unreachable_smoothing_is_left_out():
    calls = []

    class Old(torch.nn.CrossEntropyLoss):  # torch 1.8's signature
        def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
            calls.append(ignore_index)
            super().__init__(weight, size_average, ignore_index, reduce, reduction)
            del self.label_smoothing

    Old.__module__ = torch.nn.CrossEntropyLoss.__module__
    new, torch.nn.CrossEntropyLoss = torch.nn.CrossEntropyLoss, Old
    try:
        spec = CrossEntropySpec(np.array([1.0], np.float32), 3, "sum")
        same(kit.adapter.from_native(kit.adapter.to_native(spec)), spec)
        error = raised(kit.adapter.to_native, CrossEntropySpec(label_smoothing=0.1))
        assert isinstance(error, TypeError), repr(error)
        assert "label_smoothing" in str(error), error
    finally:
        torch.nn.CrossEntropyLoss = new
    same(calls, [3])


def a_stand_in_is_named_and_refused():
    class CrossEntropyLoss:
        pass

    CrossEntropyLoss.__module__ = "elsewhere.nn.loss"
    stand_in = types.ModuleType("torch")
    stand_in.nn = types.SimpleNamespace(CrossEntropyLoss=CrossEntropyLoss)
    stand_in.__version__ = "2.13.0"
    real, sys.modules["torch"] = sys.modules["torch"], stand_in
    try:
        for error in (
            raised(kit.adapter.version),
            raised(kit.adapter.to_native, CrossEntropySpec()),
            raised(kit.adapter.from_native, CrossEntropyLoss()),
        ):
            assert isinstance(error, Unavailable), repr(error)
            assert "elsewhere" in str(error), error
    finally:
        sys.modules["torch"] = real


if __name__ == "__main__":
    run(
        *common(kit),
        legacy_arguments_fold_as_torch_folds_them,
        positions_are_torchs,
        weights_of_every_kind_of_tensor,
        bad_arguments_meet_torchs_own_exceptions,
        targets_go_in_as_they_are,
        probabilities_of_another_dtype_go_in_as_they_are,
        unreachable_smoothing_is_left_out,
        a_stand_in_is_named_and_refused,
    )
