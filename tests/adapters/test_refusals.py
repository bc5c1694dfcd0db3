"""What the portable losses refuse, and how they say so, in each framework's own interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from xent import CrossEntropySpec
from xent.adapters import cross_entropy
from xent.adapters.portable import checks
from xent.errors import SpecTypeError


@pytest.mark.parametrize("name", ["torch", "mindspore", "mint", "oneflow", "paddle"])
def test_a_portable_loss_explains_its_refusals(name, native_checks):
    checks = native_checks("mindspore" if name == "mint" else name, "check_refusals.py", name)
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == 7, sorted(checks)


@pytest.mark.parametrize("argument", ["input", "target", "weight", "linear_weight", "linear_bias"])
def test_the_error_of_another_kind_cites_the_rule_of_its_argument(argument):
    error = checks.kind_error(argument, np.zeros(3, np.float32), "torch.Tensor", "torch.as_tensor")
    rule = {"target": "S6", "weight": "S1"}.get(argument, "S5")
    assert (error.argument, error.received, error.rule) == (argument, "numpy.ndarray", rule)
    received = "numpy.ndarray of float32, shape (3,)"
    advice = f"torch.as_tensor({argument}) makes one"
    assert str(error) == f"{argument} must be a torch.Tensor; got {received} ({rule}, {error.clause}): {advice}"


@pytest.mark.parametrize("spec", [None, {"ignore_index": 255}, np.ones(3), "mean"])
def test_dispatch_takes_no_other_spec(spec):
    with pytest.raises(SpecTypeError, match="spec must be a CrossEntropySpec, such as") as caught:
        cross_entropy(np.zeros((2, 3)), np.array([0, 1]), spec)
    assert caught.value.argument == "spec"


@pytest.mark.parametrize("input", [[[0.0, 1.0]], None, 3.0, "text"])
def test_dispatch_names_what_it_can_not_place(input):
    with pytest.raises(
        SpecTypeError, match="input must be a tensor of torch, mindspore or oneflow, or a NumPy array"
    ) as e:
        cross_entropy(input, np.array([0]), CrossEntropySpec())
    assert type(input).__name__ in str(e.value)
