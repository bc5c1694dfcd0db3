"""The losses that are compared, and running a script of this folder in a framework's own interpreter."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from xent.conformance.running import interpreters
from xent.conformance.running.launch import launched

HERE = Path(__file__).resolve().parent


class Loss(NamedTuple):
    """A loss, the framework it runs in and the adapter that makes it from a spec."""

    id: str
    framework: str
    adapter: str
    portable: bool


LOSSES = (
    Loss("torch", "torch", "xent.adapters.torch", False),
    Loss("mint", "mindspore", "xent.adapters.mint", False),
    Loss("mindspore", "mindspore", "xent.adapters.mindspore", False),
    Loss("oneflow", "oneflow", "xent.adapters.oneflow", False),
    Loss("torch+xent", "torch", "xent.adapters.torch.ported", True),
    Loss("mint+xent", "mindspore", "xent.adapters.mint.ported", True),
    Loss("mindspore+xent", "mindspore", "xent.adapters.mindspore.ported", True),
    Loss("oneflow+xent", "oneflow", "xent.adapters.oneflow.ported", True),
)
FRAMEWORKS = tuple(dict.fromkeys(loss.framework for loss in LOSSES))


def parse(values: list[str]) -> dict[str, str]:
    """``--python`` options as `run` takes them. ValueError for a wrong one."""
    return interpreters.parse_overrides(values, FRAMEWORKS)


def run(framework: str, script: str, arguments: list[str], overrides: Mapping[str, str]) -> str:
    """Runs ``SCRIPT ARGUMENTS... ID=ADAPTER...`` with all losses of the framework; returns what it printed.

    Raises:
        Unavailable: the framework can't run here.
        SystemExit: the script failed; the message is the end of what it wrote.
    """
    found = interpreters.resolve(framework, framework, overrides, print)
    losses = [f"{loss.id}={loss.adapter}" for loss in LOSSES if loss.framework == framework]
    with launched("xent") as environment:
        done = subprocess.run(
            [str(found.path), str(HERE / script), *arguments, *losses],
            # One thread: the models are small, and sums are then in the same order in every run.
            capture_output=True, text=True, env={**environment, "OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{script} in {framework}'s interpreter: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout
