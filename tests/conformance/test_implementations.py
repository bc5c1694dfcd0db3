"""The table of what can run says what the adapters and the entry points say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xent import adapters
from xent.conformance import implementations
from xent.conformance.implementations import TABLE, Implementation
from xent.conformance.running.interpreters.requirements import for_framework

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_a_row_says_what_its_adapter_says(row):
    adapter = adapters.load(row.implementation.module)
    assert (row.framework, row.mode, row.sample) == (adapter.FRAMEWORK, adapter.MODE, adapter.SAMPLE)
    assert row.id.split("+")[0].split("@")[0].startswith(adapter.NAME)
    assert row.framework == "numpy" or for_framework(row.framework)


def test_each_row_is_an_entry_point():
    section = PYPROJECT.read_text(encoding="utf-8").split('[project.entry-points."xent.adapters"]')[1].split("\n[")[0]
    written = dict(re.findall(r'^"?([\w+@.-]+)"? = "(.+)"$', section, re.MULTILINE))
    assert written == {row.id: row.implementation.module for row in TABLE}


def test_the_longest_start_first_and_a_plug_in_before_all():
    found = [row.implementation for row in TABLE] + [Implementation("mine", "mine")]
    ordered = [one.id for one in implementations.longest_first(found)]
    assert ordered[0] == "mine"
    seconds = [implementations.row(id).seconds for id in ordered[1:]]
    assert seconds == sorted(seconds, reverse=True)
    assert len(set(ordered)) == len(TABLE) + 1


def test_a_portable_loss_stands_beside_the_native_one():
    shown = sorted(["zeta+xent", "oneflow", "zeta", "torch+xent", "alpha", "torch"], key=implementations.place)
    assert shown == ["torch", "torch+xent", "oneflow", "alpha", "zeta", "zeta+xent"]
