"""What a worker asks of an adapter, and what it records, where a case wants gradients by target and weight."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xent.adapters import Capabilities, Entry
from xent.conformance.implementations import Implementation
from xent.conformance.protocol.case import Case
from xent.conformance.running.supervisor import run_worker
from xent.spec import Arguments

HERE = Path(__file__).resolve().parent
X = np.zeros((2, 3), np.float32)
INDICES, SOFT = np.array([0, 1]), np.full((2, 3), 0.5, np.float32)
WEIGHT = np.ones(3, np.float32)
ALL = ("input", "target", "weight")
TUPLE = 100

# gradients, target, weight, tags: what the plug-in is asked for, and what of it is recorded
ASKED = {
    "nothing": ((), INDICES, WEIGHT, (), 0, None),
    "input as ever": (("input",), SOFT, WEIGHT, (), 1, None),
    "all of them": (ALL, SOFT, WEIGHT, (), TUPLE + 7, {"target", "weight"}),
    "without input": (("weight",), SOFT, WEIGHT, (), TUPLE + 4, {"weight"}),
    "no weight to have one": (ALL, SOFT, None, (), TUPLE + 3, {"target"}),
    "class indices have none": (ALL, INDICES, None, (), 1, None),
    "what is withheld": (ALL, INDICES, WEIGHT, (), 1, None),
    "a probe of what is withheld": (("input", "weight"), INDICES, WEIGHT, ("capability",), TUPLE + 5, {"weight"}),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    cases = [
        Case(name.replace(" ", "-"), Arguments(weight), X, target, tags, gradients=gradients)
        for name, (gradients, target, weight, tags, _, _) in ASKED.items()
    ]
    implementation = Implementation("plugins.offers", "plugins.offers", str(HERE))
    found = run_worker(implementation, SimpleNamespace(path=sys.executable), cases, tmp_path_factory.mktemp("offers"))
    assert found.header.capabilities == Capabilities(index_gradients=Entry(("input",), "it has no kernel for it"))
    return found.by_case


@pytest.mark.parametrize("name", ASKED)
def test_an_adapter_is_asked_for_what_it_offers(name, records):
    gradients, _, _, _, told, recorded = ASKED[name]
    record = records[name.replace(" ", "-")]
    assert record.outcome == "value", record
    assert record.value == told
    assert (record.gradient is not None) == ("input" in gradients)
    assert (None if record.gradients is None else set(record.gradients)) == recorded


def test_an_adapter_that_knows_of_the_input_alone_is_asked_for_that(tmp_path):
    cases = [
        Case(f"case-{number}", Arguments(WEIGHT), X + number, SOFT, gradients=gradients)
        for number, gradients in ((0, ALL), (1, ("weight",)), (7, ALL), (8, ALL))
    ]
    implementation = Implementation("plugins.bools", "plugins.bools", str(HERE))
    found = run_worker(implementation, SimpleNamespace(path=sys.executable), cases, tmp_path).by_case
    assert (found["case-0"].value, found["case-0"].gradient.shape, found["case-0"].gradients) == (1, (2, 3), None)
    assert (found["case-1"].value, found["case-1"].gradient, found["case-1"].gradients) == (2, None, None)
    errors = found["case-7"].error, found["case-8"].error
    assert [(error.message, error.phase) for error in errors] == [
        ("no such derivative", "backward"),
        ("no such dtype", "forward"),
    ]
