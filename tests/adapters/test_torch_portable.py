"""The portable loss for torch, checked inside torch's own interpreter, and what can be said of it without torch.

The checks themselves are native/check_torch_portable*.py; a script that stops early fails.
"""

from __future__ import annotations

import sys

import pytest

from xent.adapters.portable import checks
from xent.errors import SpecTypeError, SpecValueError
from xent.spec import CrossEntropySpec

SCRIPTS = {
    "check_torch_portable.py": 17,
    "check_torch_portable_native.py": 19,
    "check_torch_portable_closed.py": 9,
    "check_torch_distributed.py": 26,
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_portable_loss_in_torch(script, native_checks):
    found = native_checks("torch", script, timeout=600)
    failed = {check: message for check, message in found.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(found) == SCRIPTS[script], sorted(found)


def test_importing_the_adapter_imports_no_torch():
    import xent.adapters.torch
    import xent.adapters.torch.ported

    assert "torch" not in sys.modules
    with pytest.raises(AttributeError, match="no attribute 'cross_entropi'"):
        _ = xent.adapters.torch.cross_entropi


FORM = {
    "input": (8, 5, 2), "input_dtype": "float32", "target": (8, 2), "target_dtype": "int64",
    "weight": (5,), "weight_dtype": "float64", "ignore_index": -100,
}  # fmt: skip


@pytest.mark.parametrize("check", [checks.form_of, checks.cached_form_of])
def test_forms_that_the_rules_allow(check):
    assert check(*FORM.values()) == (False, 5, (8, 2))
    assert check(*{**FORM, "target": (8, 5, 2), "target_dtype": "float16"}.values()) == (True, 5, (8, 2))
    assert check((5,), "bfloat16", (), "uint8", None, None, 3) == (False, 5, ())
    assert check((0, 5), "float64", (0,), "int8", None, None, 3) == (False, 5, (0,))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"input_dtype": "int64"},
            SpecTypeError,
            "input must have dtype float16, bfloat16, float32 or float64; got int64",
        ),
        ({"input": ()}, SpecValueError, r"input must have shape \(C\), .*S5"),
        ({"input": (8, 0), "weight": None}, SpecValueError, "at least one class"),
        ({"weight": (4,)}, SpecValueError, "weight has 4 values for C = 5"),
        ({"weight": (5, 1)}, SpecValueError, "1-D"),
        ({"weight_dtype": "int64"}, SpecTypeError, "weight must have dtype .*; got int64"),
        ({"target": (16,)}, SpecValueError, r"must have shape \(8, 2\); target has shape \(16,\) \(S6"),
        ({"target_dtype": "bool"}, SpecTypeError, "integer .*; got bool"),
        ({"target_dtype": "float32"}, SpecValueError, "S7"),
        ({"target": (8, 5, 2), "target_dtype": "float32", "ignore_index": 0}, SpecValueError, "negative .*S8"),
    ],
)
def test_forms_that_they_refuse(changes, error, message):
    for check in (checks.form_of, checks.cached_form_of):
        with pytest.raises(error, match=message):
            check(*{**FORM, **changes}.values())


def test_a_refusal_of_a_large_form_takes_no_memory():
    with pytest.raises(SpecValueError, match="S8"):
        checks.form_of((10**6, 10**6), "float32", (10**6, 10**6), "bfloat16", None, None, 0)


def test_arguments_are_told_apart_by_type():
    assert checks.arguments(1, "sum", 0) == CrossEntropySpec(None, 1, "sum", 0.0)
    for bad in ((True, "sum", 0.0), (1.0, "sum", 0.0), ([], "sum", 0.0), (1, "sum", False), (1, "sum", float("nan"))):
        with pytest.raises((SpecTypeError, SpecValueError)):
            checks.arguments(*bad)
