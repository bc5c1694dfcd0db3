"""Readers of what comes from outside, on inputs that were right once: refused or taken, never a traceback or a hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "shared" / "fuzz.py"


@pytest.mark.parametrize("reader", ["vectors", "results", "cases", "journal"])
def test_a_reader_takes_or_refuses(reader, pytestconfig):
    count, seed = pytestconfig.getoption("--fuzz"), pytestconfig.getoption("--fuzz-seed")
    done = subprocess.run(
        [sys.executable, str(FUZZ), reader, str(count), str(seed)], capture_output=True, text=True, check=False,
        timeout=60 + 2 * count, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["taken"] + told["refused"] == count
    assert min(told["taken"], told["refused"]) > count / 100, f"all alike, which tests nothing: {told}"
    assert told["peak_mb"] < 1000, told
    assert told["longest_message"] < 2000, told
