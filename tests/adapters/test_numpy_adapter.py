"""adapters/numpy.py: the reference as an implementation."""

from __future__ import annotations

import random

import numpy as np
import pytest

import xent.adapters.numpy as adapter
import xent.dtypes  # source() of a bfloat16 weight names it
from xent import adapters, dtypes, reference
from xent.adapters import Capabilities, mindspore, oneflow, torch
from xent.errors import SpecError, SpecTypeError
from xent.spec import Arguments, CrossEntropySpec


def specs(count: int) -> list[CrossEntropySpec]:
    pick = random.Random(0)
    found = []
    for _ in range(count):
        dtype = pick.choice([None, *dtypes.FLOATS])
        weight = dtype and dtypes.from_float64([pick.gauss(0, 2) for _ in range(pick.randint(1, 9))], dtype)
        ignore_index = pick.choice([-100, 0, 255, 2**63 - 1, -(2**63)])
        smoothing = pick.choice([0.0, 1.0, 0.1, 5e-324, pick.random()])
        found.append(CrossEntropySpec(weight, ignore_index, pick.choice(["none", "mean", "sum"]), smoothing))
    return found


@pytest.mark.parametrize("spec", specs(40), ids=repr)
def test_from_native_and_source_give_the_spec_back(spec):
    assert adapter.from_native(adapter.to_native(spec)) == spec
    loss = eval(adapter.source(spec), {"numpy": np, "xent": xent})  # our own text: that it evaluates is the claim
    assert adapter.from_native(loss) == spec
    assert repr(loss) == adapter.source(spec)


def test_source_leaves_defaults_out():
    assert adapter.source(CrossEntropySpec()) == "xent.adapters.numpy.CrossEntropyLoss()"
    spec = CrossEntropySpec(np.array([0.1], np.float32), reduction="sum")
    assert adapter.source(spec) == (
        "xent.adapters.numpy.CrossEntropyLoss("
        "weight=numpy.array([0.10000000149011612], dtype=numpy.float32), reduction='sum')"
    )


def test_source_of_a_type_that_is_not_the_defaults_is_kept():
    assert torch.source(Arguments(label_smoothing=0)) == "torch.nn.CrossEntropyLoss(label_smoothing=0)"
    assert torch.source(Arguments(ignore_index=np.int64(7))) == "torch.nn.CrossEntropyLoss(ignore_index=7)"
    text = torch.source(Arguments(weight=np.array([[1, 2]], np.int32)))
    assert text == "torch.nn.CrossEntropyLoss(weight=torch.tensor([[1, 2]], dtype=torch.int32))"


@pytest.mark.parametrize("gradient", [False, True])
def test_evaluate_is_the_reference(gradient):
    input = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    target = np.array([0, 2, -100, 1])
    spec = CrossEntropySpec(np.array([1, 2, 3], np.float32), label_smoothing=0.1)
    got = adapter.evaluate(spec, input, target, gradient=gradient)
    assert got.value == reference.value(spec, input, target)
    assert got.value == adapter.CrossEntropyLoss(spec.weight, label_smoothing=0.1)(input, target)
    if gradient:
        np.testing.assert_array_equal(got.gradient, reference.gradient(spec, input, target))
    else:
        assert got.gradient is None


def test_bad_arguments_are_refused_when_the_loss_is_made():
    adapters.reset_phases()
    with pytest.raises(SpecError, match="label_smoothing"):
        adapter.evaluate(Arguments(label_smoothing=1.1), np.zeros((1, 2)), np.array([0]), gradient=False)
    assert adapters.last_phase() == "construct"
    with pytest.raises(SpecError, match=r"target\[0\]"):
        adapter.evaluate(CrossEntropySpec(), np.zeros((1, 2)), np.array([2]), gradient=False)
    assert adapters.last_phase() == "forward"


def test_from_native_refuses_other_objects():
    with pytest.raises(TypeError, match=r"xent\.adapters\.numpy\.CrossEntropyLoss.*xent\.spec\.CrossEntropySpec"):
        adapter.from_native(CrossEntropySpec())


def test_nothing_narrows_the_specification():
    assert adapter.capabilities == Capabilities()


# from_call needs no framework: migration tools read calls where none is installed.


def test_torchs_second_position_is_not_the_others():
    assert torch.from_call(None, 255) == CrossEntropySpec()  # size_average=255, which is true
    assert torch.from_call(None, None, 255) == CrossEntropySpec(ignore_index=255)
    for other in (mindspore, oneflow, adapter):
        assert other.from_call(None, 255, "sum", 0.5) == CrossEntropySpec(None, 255, "sum", 0.5)


def test_torchs_legacy_arguments_override_reduction():
    assert torch.from_call(size_average=False, reduction="none").reduction == "sum"
    assert torch.from_call(reduce=False, reduction="sum").reduction == "none"
    assert torch.from_call(None, False, -100, False).reduction == "none"
    assert torch.from_call(size_average=True, reduction="none").reduction == "mean"


@pytest.mark.parametrize("module", [torch, mindspore, oneflow, adapter], ids=lambda module: module.NAME)
def test_from_call_refuses_unknown_and_surplus_arguments(module):
    with pytest.raises(TypeError, match="smoothing_label"):
        module.from_call(smoothing_label=0.1)
    with pytest.raises(TypeError, match="weight"):
        module.from_call(None, weight=None)
    with pytest.raises(TypeError, match="positional"):
        module.from_call(*[None] * 7)
    with pytest.raises(SpecTypeError, match="weight"):
        module.from_call([1.0, 2.0])  # no framework takes a list
    if module is not torch:
        with pytest.raises(TypeError, match="size_average"):
            module.from_call(size_average=True)
