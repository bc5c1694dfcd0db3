"""xent.adapters.cross_entropy, and what the portable losses have in common, in each framework's own interpreter."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.mark.parametrize("framework", ["torch", "mindspore", "oneflow", "paddle"])
def test_the_tensor_picks_the_framework(framework, framework_python, native_folder):
    script = native_folder / "check_dispatch.py"
    done = subprocess.run(
        [framework_python(framework), str(script), framework],
        capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, "PYTHONPATH": str(native_folder.parents[2])},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
    assert done.returncode == 0, done.stderr
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert len(lines) == 12
