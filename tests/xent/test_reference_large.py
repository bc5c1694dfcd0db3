"""The oracle on large inputs: within 2 GiB, in seconds, and right (against float64 and the exact log C)."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import json, sys
import numpy as np
from peak import peak_kib
from xent import reference
from xent.spec import CrossEntropySpec

shape, equal = tuple(json.loads(sys.argv[1])), sys.argv[2] == "equal"
rng = np.random.default_rng(1)
input = np.ones(shape, np.float32) if equal else rng.normal(size=shape).astype(np.float32)
target = rng.integers(0, shape[1], shape[:1] + shape[2:])
spec = CrossEntropySpec()
value, gradient = reference.value(spec, input, target), reference.gradient(spec, input, target)
x = np.moveaxis(input, 1, -1).reshape(-1, shape[1]).astype(np.float64)
p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
y = target.reshape(-1)
plain = -np.log(p[np.arange(len(y)), y]).mean()
p[np.arange(len(y)), y] -= 1
slope = np.moveaxis(gradient, 1, -1).reshape(p.shape) - p / len(y)
print(json.dumps({
    "value": float(value), "plain": float(plain), "shape": list(gradient.shape),
    "off": float(np.abs(slope).max() * len(y)), "kib": peak_kib(),
}))
"""


@pytest.mark.parametrize("shape", [(2, 4, 1000, 1000), (8, 128_000)], ids=str)
@pytest.mark.parametrize("logits", ["equal", "random"])
def test_large_inputs_fit_and_are_right(shape: tuple[int, ...], logits: str) -> None:
    if logits == "random" and len(shape) == 4:
        shape = (2, 4, 300, 300)  # the memory is measured on the other one
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "shared")])
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(shape), logits],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = json.loads(run.stdout)
    assert found["shape"] == list(shape)
    assert found["kib"] <= 2 * 1024 * 1024
    assert found["value"] == pytest.approx(found["plain"], rel=1e-7)
    if logits == "equal":
        assert found["value"] == pytest.approx(math.log(shape[1]), rel=6e-8)
    assert found["off"] <= 1e-7
