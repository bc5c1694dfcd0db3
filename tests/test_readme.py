"""The README's Python runs as it stands, and its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("", "adapters", "conformance", "conformance/cases/standard")  # what a path is relative to
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_runs_in_torchs_interpreter(framework_python):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    printed = []
    for block in blocks:
        done = subprocess.run(
            [framework_python("torch"), "-c", block],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    number, source = printed
    assert f"`{number.strip()}`" in README
    assert "mindspore.nn.CrossEntropyLoss(weight=mindspore.Tensor([1.0, 2.0, 0.5]" in source


def test_the_commands_exist():
    named = set(re.findall(r"^xent (\w+)", README, flags=re.M))
    assert {"run", "report", "show", "doctor"} <= named
    for command in named:
        subprocess.run([sys.executable, "-m", "xent.commands.cli", command, "--help"], check=True, capture_output=True)
    targets = set(re.findall(r"^make (\w+)", README, flags=re.M))
    assert {"report", "test"} <= targets
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_files_that_a_document_names_are_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {
        path
        for path in re.findall(r"`([\w./-]+/[\w.-]*|[\w-]+\.(?:md|toml))`", text)
        if not path.startswith(("report/", "results/", "xent-"))
    }
    assert len(named) > 5
    assert [path for path in named if not any((ROOT / place / path).exists() for place in PLACES)] == []
