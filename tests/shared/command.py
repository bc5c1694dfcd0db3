"""The command line as a process, and vector files for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

VECTOR: Mapping[str, Any] = {
    "id": "mine/one",
    "spec": {"weight": None, "ignore_index": -100, "reduction": "none", "label_smoothing": 0.0},
    "input": {"dtype": "float32", "data": [[0.0, 0.0]]},
    "target": {"dtype": "int64", "data": [0]},
    "expected": {"value": [0.6931], "gradient": None, "atol": 5e-5, "rtol": 0},
}

# The oracle as a plug-in; what stands in {body} may break it, {wait} makes it slow.
PLUGIN = """
import os, subprocess, sys, time
from xent.adapters import Capabilities, Entry, Evaluation, numpy as _numpy
NAME, FRAMEWORK, capabilities = "{name}", "numpy", Capabilities()
version, to_native, from_native = _numpy.version, _numpy.to_native, _numpy.from_native
from_call, source = _numpy.from_call, _numpy.source
def evaluate(spec, input, target, *, gradient):
    time.sleep({wait})
    return _numpy.evaluate(spec, input, target, gradient=gradient)
{body}
"""


def vectors(path: Path, *entries: Mapping[str, Any], count: int = 0) -> str:
    """Writes a vector file of these vectors, of `count` numbered ones, or of one; its path as text."""
    numbered = [{**VECTOR, "id": f"mine/{number}"} for number in range(count)]
    path.write_text(json.dumps({"schema": "xent-vectors/1", "vectors": [*entries, *numbered] or [VECTOR]}))
    return str(path)


def plugin(folder: Path, name: str, body: str = "", wait: float = 0.0) -> None:
    """Writes a plug-in module of that name."""
    (folder / f"{name}.py").write_text(PLUGIN.format(name=name, body=body, wait=wait))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "xent.commands.cli", *arguments]


def xent(*arguments: str, cwd: Path, timeout: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs it to its end. It never ends in a traceback."""
    done = subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
        check=False, **options,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def start(*arguments: str, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        text=True, **options,
    )  # fmt: skip


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def lines(path: Path) -> int:
    """How many whole lines the file has; 0 where there is none."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def workers(folder: Path) -> list[str]:
    """Command lines of live workers, and their guards, whose run's folder lies there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"xent.conformance.worker" in words and any(word.startswith(bytes(folder)) for word in words):
            found.append(str(path))
    return found
