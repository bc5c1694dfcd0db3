"""The adapters that ship pass their own kit, each in its framework's interpreter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from xent.conformance import implementations, kit
from xent.conformance.kit.checks import CHECKS


@pytest.mark.parametrize("row", implementations.TABLE, ids=lambda row: row.id)
def test_a_built_in_adapter_passes(row: implementations.Row, framework_python: Callable[[str], str]) -> None:
    report = kit.check(row.implementation.module, interpreter=framework_python(row.framework))
    assert [one for one in report.checks if one.status != "ok"] == []
    assert report.version
    # Only the native adapters' modules offer the portable loss, and a sample has no cases for what is excluded.
    not_asked = {"portable"} if row.mode != "eager" else set()
    not_asked |= {"includes", "excludes"} if row.sample is not None else set()
    assert set(CHECKS) - {one.name for one in report.checks} == not_asked
