"""The scripts of `xent show`: pasted into a framework's interpreter, they give the numbers of the evidence."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from xent import adapters, reference
from xent.conformance.protocol.case import Case
from xent.conformance.report import script
from xent.spec import Arguments, CrossEntropySpec

ROOT = Path(__file__).resolve().parents[2]
LOGITS = np.array([[0.25, -1.5, 3.0], [1e-3, 2.0, -0.5]], dtype=np.float32)
CASES = [
    Case("plain", Arguments(np.array([1.0, 0.1, 2.0], np.float32), 1, "none", 0.0), LOGITS, np.array([2, 1], np.int32)),
    Case("soft", Arguments(None, -100, "sum", 0.1), LOGITS, np.array([[0.2, 0.3, 0.5], [1, 0, 0]], dtype=np.float32)),
    Case("strided", Arguments(), np.asfortranarray(LOGITS), np.array([2, 0], np.int32)),
]


NATIVE = ["torch", "oneflow", "mindspore", "mint-jit", "mint", "paddle", "numpy"]
PORTABLE = ["torch+xent", "oneflow+xent", "mindspore+xent", "mint+xent", "paddle+xent"]


@pytest.mark.parametrize("name", NATIVE + PORTABLE)
def test_a_script_reproduces_the_case(name, framework_python):
    adapter = adapters.load(name)
    # torch's labels are int64
    cases = [c for c in CASES if name != "torch" or c.target.dtype != np.int32]
    assert cases
    text = "\n".join(script.reproduce(adapter, case) for case in cases)  # pasted one after the other
    done = subprocess.run(
        [framework_python(adapter.FRAMEWORK), "-c", text],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stderr[-800:]}"
    lines = [line for line in done.stdout.splitlines() if line.startswith(("[", "Evaluation(")) or line[:1].isdigit()]
    for case in cases:
        spec = CrossEntropySpec(*case.arguments)
        right = reference.value(spec, case.input, case.target), reference.gradient(spec, case.input, case.target)
        if lines[0].startswith("Evaluation("):  # the adapter's own words
            assert f"{float(np.ravel(right[0])[0]):.6f}"[:5] in done.stdout
            continue
        for expected in right:
            np.testing.assert_allclose(json.loads(lines.pop(0)), expected, rtol=1e-5, atol=1e-5)


def test_arguments_that_no_spec_holds_are_written_too():
    case = Case("odd", Arguments(None, -100, "avg", float("nan")), LOGITS, np.zeros((0, 3)))
    text = script.reproduce(adapters.load("torch"), case)
    assert 'label_smoothing=float("nan")' in text
    assert "reduction='avg'" in text
    assert ".reshape(0, 3)" in text
