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
