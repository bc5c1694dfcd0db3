"""The gradients with respect to class probabilities and weight: every adapter, in its framework's own interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from xent import reference
from xent.adapters import Capabilities, Entry, load, names, numpy
from xent.conformance.cases import clauses
from xent.spec import CrossEntropySpec

CHECKS = {"torch": 6, "oneflow": 6, "mindspore": 15, "paddle": 3}
INDICES = np.array([0, 1])
SOFT = np.full((2, 3), 0.25, np.float32)
X = np.array([[1, 2, 3], [0, -1, 0.5]], np.float32)


@pytest.mark.parametrize("framework", CHECKS)
def test_adapters_in_their_own_framework(framework, native_checks):
    checks = native_checks(framework, "check_gradients.py")
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == CHECKS[framework], sorted(checks)


def test_numpy_offers_all_of_them():
    spec = CrossEntropySpec(np.array([1, 2, 3], np.float32), label_smoothing=0.1)
    got = numpy.evaluate(spec, X, SOFT, gradient=("input", "target", "weight"))
    np.testing.assert_array_equal(got.gradient, reference.gradient(spec, X, SOFT))
    np.testing.assert_array_equal(got.gradients["target"], reference.gradient_target(spec, X, SOFT))
    np.testing.assert_array_equal(got.gradients["weight"], reference.gradient_weight(spec, X, SOFT))
    alone = numpy.evaluate(spec, X, INDICES, gradient=("weight",))
    assert alone.gradient is None
    assert set(alone.gradients) == {"weight"}


def test_a_gradient_that_is_not_offered_is_named_with_its_reason():
    limited = Capabilities(index_gradients=Entry(("input",), "the kernel has none (measured)"))
    withheld = limited.withheld(INDICES, ("input", "weight"))
    assert withheld == {
        "weight": "with class indices there is no gradient with respect to weight (the kernel has none (measured))"
    }
    assert limited.withheld(SOFT, ("input", "target", "weight")) == {}
    assert Capabilities().withheld(INDICES, ("input", "weight")) == {}


def test_a_gradient_that_is_not_offered_excludes_no_case():
    limited = Capabilities(index_gradients=Entry(("input",), "measured"), probability_gradients=Entry((), "measured"))
    for target in (INDICES, SOFT):
        assert limited.findings(CrossEntropySpec(np.ones(3, np.float32)), X, target) == []


@pytest.mark.parametrize("name", names())
def test_every_adapter_offers_the_gradient_with_respect_to_input_and_says_why_another_is_missing(name):
    capabilities = load(name).capabilities
    for entry in (capabilities.index_gradients, capabilities.probability_gradients):
        if entry is not None:
            assert "input" in entry.allowed
            assert set(entry.allowed) <= {"input", "target", "weight"}
            assert entry.clause in clauses.load() or len(entry.clause.split()) > 3
