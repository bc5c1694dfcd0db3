"""The adapters of torch, mindspore, oneflow and Paddle, each checked inside its own framework's interpreter.

The checks themselves are native/check_*.py; here each script is a test, and one that stops early fails.
"""

from __future__ import annotations

import sys
import types

import pytest

from xent.adapters import load
from xent.conformance.cases import clauses
from xent.errors import Unavailable

CHECKS = {"torch": 28, "mindspore": 26, "oneflow": 27, "paddle": 31}


@pytest.mark.parametrize("name", CHECKS)
def test_adapter_in_its_own_framework(name, native_checks):
    checks = native_checks(name, f"check_{name}.py")
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == CHECKS[name], sorted(checks)


@pytest.mark.parametrize("name", ["numpy", *CHECKS])
def test_every_capability_cites_a_known_clause(name):
    """But which gradients there are, of which no document speaks; and Paddle's in words, whose document isn't ours."""
    entries = vars(load(f"xent.adapters.{name}").capabilities).items()
    cited = {entry.clause for field, entry in entries if entry is not None and not field.endswith("_gradients")}
    if name == "paddle":
        assert all(len(clause.split()) > 3 for clause in cited)
    else:
        assert cited <= set(clauses.load())


def test_capabilities_are_the_documents():
    assert load("xent.adapters.torch").capabilities.index_dtypes.allowed == ("int64",)
    assert load("xent.adapters.mindspore").capabilities.index_dtypes.allowed == ("int32",)
    assert 1 not in load("xent.adapters.oneflow").capabilities.input_ranks.allowed


def test_a_framework_that_is_absent_is_unavailable(monkeypatch):
    monkeypatch.setitem(sys.modules, "oneflow", None)
    with pytest.raises(Unavailable, match="oneflow does not import here") as caught:
        load("xent.adapters.oneflow").version()
    assert caught.value.remedy


def test_a_module_that_only_has_the_name_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    with pytest.raises(Unavailable, match=r"nn\.CrossEntropyLoss"):
        load("xent.adapters.torch").version()
