"""The scripts of `xent show`: pasted into a framework's interpreter, they give the numbers of the evidence."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xent import adapters, reference
from xent.conformance.protocol.case import Case
from xent.conformance.report import script
from xent.spec import Arguments, CrossEntropySpec

ROOT = Path(__file__).resolve().parents[2]
LOGITS = np.array([[0.25, -1.5, 3.0], [1e-3, 2.0, -0.5]], dtype=np.float32)
WEIGHT = np.array([1.0, 0.1, 2.0], np.float32)
SOFT = np.array([[0.2, 0.3, 0.5], [1, 0, 0]], np.float32)
ALL = ("input", "target", "weight")
CASES = [
    Case("plain", Arguments(WEIGHT, 1, "none", 0.0), LOGITS, np.array([2, 1], np.int32)),
    Case("soft", Arguments(None, -100, "sum", 0.1), LOGITS, SOFT),
    Case("strided", Arguments(), np.asfortranarray(LOGITS), np.array([2, 0], np.int32)),
    Case("by-target", Arguments(), LOGITS, np.asfortranarray(SOFT), gradients=("input", "target")),
    Case("by-both", Arguments(WEIGHT, reduction="none"), LOGITS, SOFT, gradients=ALL),
    Case("by-weight", Arguments(WEIGHT, label_smoothing=0.1), LOGITS, np.array([2, 0], np.int32), gradients=ALL),
]


LEFT_OUT = {("mint-jit", "by-weight"), ("paddle", "by-both"), ("paddle", "by-weight")}
NATIVE = ["torch", "oneflow", "mindspore", "mint-jit", "mint", "paddle", "numpy"]
PORTABLE = ["torch+xent", "oneflow+xent", "mindspore+xent", "mint+xent", "paddle+xent"]


@pytest.mark.parametrize("name", NATIVE + PORTABLE)
def test_a_script_reproduces_the_case_with_every_gradient_that_is_offered(name, framework_python):
    adapter = adapters.load(name)
    # torch's labels are int64; on a CPU mint has no kernel for class indices with label smoothing; Paddle's weighted
    # loss of soft labels, and so with smoothing too, is another one
    cases = [
        case for case in CASES
        if (name != "torch" or case.target.dtype != np.int32) and (name, case.id) not in LEFT_OUT
    ]  # fmt: skip
    assert cases
    text = "\n".join(script.reproduce(adapter, case) for case in cases)  # pasted one after the other
    done = subprocess.run(
        [framework_python(adapter.FRAMEWORK), "-c", text],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stderr[-800:]}"
    printed = re.findall(r"^(?:\[.*\]|[\d.e-]+|Evaluation\([^=]*=(?:.|\n)*?\))$", done.stdout, re.MULTILINE)
    for case in cases:
        spec, offered = CrossEntropySpec(*case.arguments), adapter.capabilities.withheld(case.target, case.others)
        others = tuple(other for other in case.others if other not in offered)
        exact = reference.exact(spec, case.input, case.target, True, others)
        expected = [exact.value, exact.gradient, *(exact.gradients[other] for other in others)]
        if printed[0].startswith("Evaluation("):  # the adapter's own words
            told = printed.pop(0)
            assert f"{float(np.ravel(expected[0])[0]):.6f}"[:5] in told
            for other in others:
                digits = f"{float(np.ravel(exact.gradients[other])[0]):.6f}"[:5]
                assert re.search(rf"'{other}': array\(\[*\s*{digits}", told), (other, digits, told)
            continue
        for right in expected:
            np.testing.assert_allclose(json.loads(printed.pop(0)), np.float64(right), rtol=1e-5, atol=1e-5)
    assert not printed


def test_further_gradients_are_printed_only_where_they_are_asked_for_and_offered():
    torch, portable = adapters.load("torch"), adapters.load("torch+xent")
    both, indices = CASES[-2], CASES[-1]
    text = script.reproduce(torch, both)
    assert "print(target.grad" in text
    assert "CrossEntropyLoss(weight=weight, reduction='none')(input.detach(), target)" in text
    assert ".detach()" not in script.reproduce(torch, CASES[1])
    assert ".detach()" not in script.reproduce(torch, indices)  # its own capabilities withhold the gradient by weight
    assert "print(weight.grad" in script.reproduce(portable, indices)
    probe = replace(indices, tags=("capability",))
    assert "print(weight.grad" in script.reproduce(torch, probe)  # a probe asks for what isn't offered


def test_a_template_without_further_gradients_leaves_them_to_the_adapter():
    text = script.reproduce(adapters.load("mint-jit"), CASES[-2])
    assert "import xent.adapters.mint.jit as adapter" in text
    assert "gradient=('input', 'target', 'weight')" in text
    assert "mindspore.jit" in script.reproduce(adapters.load("mint-jit"), CASES[1])


def test_arguments_that_no_spec_holds_are_written_too():
    case = Case("odd", Arguments(None, -100, "avg", float("nan")), LOGITS, np.zeros((0, 3)))
    text = script.reproduce(adapters.load("torch"), case)
    assert 'label_smoothing=float("nan")' in text
    assert "reduction='avg'" in text
    assert ".reshape(0, 3)" in text
