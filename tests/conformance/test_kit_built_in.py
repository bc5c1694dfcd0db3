"""The adapters that ship pass their own kit, each in its framework's interpreter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from xent import adapters
from xent.conformance import kit
from xent.conformance.kit.checks import CHECKS

BEYOND_A_SAMPLE = {"includes", "excludes"}


@pytest.mark.parametrize("name", adapters.names())
def test_a_built_in_adapter_passes(name: str, framework_python: Callable[[str], str]) -> None:
    adapter = adapters.load(name)
    report = kit.check(name, interpreter=framework_python(adapter.FRAMEWORK))
    assert [one for one in report.checks if one.status != "ok"] == []
    assert report.version
    found = {one.name for one in report.checks}
    native = "+" not in name and not hasattr(adapter, "SAMPLE")
    assert set(CHECKS) - found == (set() if native else _not_asked(adapter))


def _not_asked(adapter: object) -> set[str]:
    return {"portable", *(BEYOND_A_SAMPLE if hasattr(adapter, "SAMPLE") else ())}
