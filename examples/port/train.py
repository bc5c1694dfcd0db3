"""Runs in a framework's interpreter: every task with every loss of that framework.

    python train.py FRAMEWORK TASKS.npz OUT.npz ID=ADAPTER ...

OUT.npz holds, per TASK and ID: the losses (TASK/ID/losses, float64, nan from where it failed on), the trained weights
(TASK/ID/weights/0 ...), and under "failures" JSON: {"TASK/ID": "what the framework said"}.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import task as tasks

from xent import CrossEntropySpec, adapters


def main(framework: str, source: str, out: str, *losses: str) -> None:
    """As above."""
    module = importlib.import_module(framework)
    backend = importlib.import_module("backend_mindspore" if framework == "mindspore" else "backend_torch")
    results: dict[str, np.ndarray] = {}
    failures: dict[str, str] = {}
    for loss in losses:
        name, _, path = loss.partition("=")
        adapter = adapters.load(path)
        if hasattr(adapter, "prepare"):
            adapter.prepare()
        for task in tasks.read(Path(source)):
            key = f"{task.name}/{name}"
            values: list[float] = []
            model = backend.Model(module, task)
            try:
                criterion = adapter.to_native(CrossEntropySpec.from_dict(task.spec))
                values.extend(model.steps(criterion, task.inputs, task.labels.astype(index_dtype(adapter))))
            except Exception as error:  # a framework may raise anything, and its refusal is a result
                failures[key] = said(error)
            missing = [np.nan] * (len(task.inputs) - len(values))
            results[f"{key}/losses"] = np.array([*values, *missing])
            results.update({f"{key}/weights/{i}": weight for i, weight in enumerate(model.weights())})
    np.savez(out, failures=np.array(json.dumps(failures)), **results)


def index_dtype(adapter: Any) -> str:
    """int64 where the loss takes it, else the first dtype that its document gives."""
    entry = adapter.capabilities.index_dtypes
    return "int64" if entry is None or "int64" in entry.allowed else str(entry.allowed[0])


def said(error: BaseException) -> str:
    """The exception's first line with words in it, without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if re.search(r"\w", line)]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


if __name__ == "__main__":
    main(*sys.argv[1:])
