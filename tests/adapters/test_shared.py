"""What adapters share: finding them, what they narrow, memory order, phases, and whose tensor it is."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xent import adapters
from xent.adapters import dispatch
from xent.adapters.contract import wrapped
from xent.adapters.framework import framework
from xent.errors import Unavailable

PUBLIC = ("NAME", "FRAMEWORK", "capabilities", "version", "to_native", "from_native", "from_call", "source", "evaluate")


@given(hnp.array_shapes(min_dims=0, max_dims=5, max_side=4), st.randoms())
def test_layout_keeps_values_and_memory_order(shape, random):
    axes = list(range(len(shape)))
    random.shuffle(axes)
    array = np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape).transpose(axes)
    base, back = adapters.layout(array)
    assert base.flags.c_contiguous
    np.testing.assert_array_equal(base.transpose(back), array)
    assert base.transpose(back).flags.c_contiguous == array.flags.c_contiguous


def test_layout_of_a_strided_view_is_its_values():
    array = np.arange(24.0).reshape(4, 6)[::2, ::-3]
    base, axes = adapters.layout(array)
    np.testing.assert_array_equal(base.transpose(axes), array)


def test_phases_add_up_once_and_name_the_last():
    adapters.reset_phases()
    assert adapters.last_phase() == "forward"
    with adapters.phase("construct"), adapters.phase("backward"):
        sum(range(10_000))
    once = adapters.phase_seconds()
    assert once > 0
    assert adapters.last_phase() == "construct"  # the nested one ended well, the rest was the outer one's again
    with pytest.raises(ZeroDivisionError), adapters.phase("backward"), adapters.phase("forward"):
        1 / 0  # noqa: B018 - the exception is the point
    assert adapters.last_phase() == "forward"
    assert adapters.phase_seconds() > once
    adapters.reset_phases()
    assert adapters.phase_seconds() == 0


def test_every_installed_adapter_has_the_public_names_and_imports_no_framework():
    assert adapters.names()[0] == "numpy"
    assert {"numpy", "torch", "mint", "mint-jit", "mindspore", "oneflow", "paddle"} <= set(adapters.names())
    for name in adapters.names():
        module = adapters.load(name)
        assert [public for public in PUBLIC if not hasattr(module, public)] == []
    assert not {"torch", "mindspore", "oneflow", "paddle"} & set(sys.modules)


def test_an_adapter_loads_by_module_path_too():
    assert adapters.load("xent.adapters.torch") is adapters.load("torch")


@pytest.mark.parametrize(
    ("name", "says"),
    [("trch", "Did you mean 'torch'"), ("no.such.module", "ModuleNotFoundError"), ("json", "lacks NAME")],
)
def test_what_is_no_adapter_is_named(name, says):
    with pytest.raises(Unavailable, match=says):
        adapters.load(name)


def test_an_adapter_that_fails_to_import_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('boom')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Unavailable, match="RuntimeError: boom"):
        adapters.load("broken_plugin")


def test_a_tensor_belongs_to_the_framework_of_its_class(monkeypatch):
    assert adapters.framework_of(np.zeros(1)) == "numpy"
    assert adapters.framework_of(np.zeros(1).view(np.recarray)) == "numpy"
    assert adapters.framework_of([1.0]) is None
    real = types.ModuleType("torch")
    real.Tensor = type("Tensor", (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", real)
    assert adapters.framework_of(type("Parameter", (real.Tensor,), {})()) == "torch"


def test_a_stand_in_for_torch_is_not_believed(monkeypatch):
    fake = types.ModuleType("torch")
    fake.Tensor = type("Tensor", (), {"__module__": "oneflow"})
    monkeypatch.setitem(sys.modules, "torch", fake)
    assert adapters.framework_of(fake.Tensor()) == "oneflow"


def test_a_stand_in_that_nobody_knows_is_nobodys(monkeypatch):
    other = types.ModuleType("torch")
    other.Tensor = type("Tensor", (), {"__module__": "somebody.torch"})
    monkeypatch.setitem(sys.modules, "torch", other)
    assert adapters.framework_of(other.Tensor()) is None


def test_the_frameworks_are_those_whose_own_tensors_a_portable_loss_takes():
    assert {"torch", "mindspore", "oneflow"} <= set(dispatch.frameworks())
    assert not {"mint", "portable"} & set(dispatch.frameworks())


def test_a_framework_is_told_by_the_loss_that_its_adapter_names(monkeypatch):
    grad = types.ModuleType("tinygrad")
    grad.Tensor = type("Tensor", (), {"__module__": "tinygrad.tensor", "cross_entropy": lambda self: None})
    grad.Tensor.cross_entropy.__module__ = "tinygrad.tensor"
    monkeypatch.setitem(sys.modules, "tinygrad", grad)
    assert framework("tinygrad", "Tensor.cross_entropy") is grad
    with pytest.raises(Unavailable, match=r"has no nn\.CrossEntropyLoss"):
        framework("tinygrad")
    grad.Tensor.cross_entropy.__module__ = "elsewhere"
    with pytest.raises(Unavailable, match="stand-in by elsewhere"):
        framework("tinygrad", "Tensor.cross_entropy")


def made(**names):
    module = types.ModuleType("a_plugin")
    of = {"NAME": "a", "FRAMEWORK": "a", "capabilities": adapters.Capabilities(), "version": lambda: "1"}
    calls = {name: lambda *args, **more: (args, more) for name in ("from_native", "from_call", "evaluate")}
    calls |= {name: lambda spec: spec for name in ("to_native", "source")}
    for name, value in {**of, **calls, **names}.items():
        setattr(module, name, value)
    return module


def test_what_an_adapter_may_leave_out_has_a_default():
    adapter = wrapped(made())
    assert (adapter.MODE, adapter.SAMPLE, adapter.FORKS, adapter.SCRIPT, adapter.TENSOR) == (
        "eager",
        None,
        False,
        None,
        None,
    )
    assert adapter.device() == "cpu"
    assert adapter.prepare() is None
    assert wrapped(made(MODE="jit", device=lambda: "npu")).device() == "npu"


def test_only_an_adapter_that_asks_for_the_kind_of_target_is_told():
    assert wrapped(made()).to_native("spec", "indices") == "spec"
    both = wrapped(made(source=lambda spec, target_kind=None: f"{spec} for {target_kind}"))
    assert both.source("loss", "probabilities") == "loss for probabilities"
    assert both.source("loss") == "loss for None"


@pytest.mark.parametrize(
    ("name", "value"), [("NAME", 5), ("MODE", None), ("SAMPLE", ["a"]), ("FORKS", 1), ("SCRIPT", 3)]
)
def test_a_name_of_another_type_than_the_contract_says_is_told(name, value):
    with pytest.raises(Unavailable, match=f"the {name} of 'a_plugin' is {type(value).__name__}, not "):
        wrapped(made(**{name: value}))
