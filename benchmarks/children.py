"""Runs measurements in a framework's interpreter, and outlives them: one that crashes costs one side of a row."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xent.conformance.implementations import Implementation
from xent.conformance.running.launch import environment, make_search_path
from xent.conformance.running.process import death
from xent.errors import Unavailable

from . import plan
from .plan import Job

ROOT = Path(__file__).resolve().parent.parent
Follow = Callable[[Job, dict[str, Any]], None]


class _Child:
    """One process, with its journal read as it grows."""

    def __init__(self, python: str, jobs: Sequence[Job], folder: Path) -> None:
        self._journal, self._stderr = folder / "journal", folder / "stderr"
        self._read, self._rest = 0, b""
        (folder / "jobs.json").write_text(json.dumps([job.to_dict() for job in jobs]), encoding="utf-8")
        make_search_path(folder / "path", Implementation("bench", "benchmarks.measure", str(ROOT)))
        command = [python, "-m", "benchmarks.measure", str(folder / "jobs.json"), str(self._journal)]
        with open(self._stderr, "wb") as stderr:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(folder / "path"),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            )  # fmt: skip

    def entries(self) -> list[dict[str, Any]]:
        """What the journal has got since the last call."""
        if not self._journal.exists():
            return []
        with open(self._journal, "rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def last_words(self) -> str:
        """The last line on stderr, without the paths of this machine."""
        lines = self._stderr.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return re.sub(r"(?:/[\w.+@-]+)+/", ".../", lines[-1])[:200] if lines else "it printed nothing"

    def kill(self) -> None:
        """Ends it and waits for the end."""
        self.process.kill()
        self.process.wait()


def run(python: str, jobs: Sequence[Job], follow: Follow) -> dict[str, Any]:
    """Runs the jobs of one framework in one process, or as many as it takes; returns what is known of the framework.

    Args:
        python: the interpreter.
        jobs: all of one framework.
        follow: called with each row as it is measured, ``{"what", "sides"}``. A job whose process ended gives rows of
            reasons for the side that ended it, and is tried again without that side.

    Raises:
        Unavailable: the framework can't be loaded.
    """
    facts: dict[str, Any] = {}
    queue = list(jobs)
    while queue:
        with tempfile.TemporaryDirectory(prefix="xent-bench-", ignore_cleanup_errors=True) as folder:
            done, doing, ended = _attempt(_Child(python, queue, Path(folder)), queue, facts, follow)
        if done is None:
            raise Unavailable(queue[0].framework, f"its measurements don't start: {ended}", "Run: xent doctor.")
        queue = queue[done:]
        if not queue or ended is None:
            continue
        failed = queue.pop(0)
        if doing and doing not in failed.barred:
            queue.insert(0, failed._replace(barred={**failed.barred, doing: ended}))
        else:  # it ended where no side is to blame: before them, or in the rounds that had begun well
            for row in _given_up(failed, ended):
                follow(failed, row)
    return facts


def _attempt(
    child: _Child, jobs: Sequence[Job], facts: dict[str, Any], follow: Follow
) -> tuple[int | None, str, str | None]:
    """How many jobs are done (None: nothing began), the side that was at work, and how the process ended if badly."""
    done: int | None = None
    doing = ""
    rows: list[dict[str, Any]] = []
    news = time.monotonic()
    try:
        while True:
            status = child.process.poll()  # before reading: what is written after it is read next time
            for entry in child.entries():
                news = time.monotonic()
                if "facts" in entry:
                    facts.update(entry["facts"])
                    done = 0
                elif "begin" in entry:
                    rows, doing = [], ""
                elif "doing" in entry:
                    doing = entry["doing"]
                elif "row" in entry:
                    rows.append(entry["row"])
                elif "done" in entry:
                    for row in rows:
                        follow(jobs[entry["done"]], row)
                    done, doing = entry["done"] + 1, ""
            if status is not None:
                ended = None if status == 0 and done == len(jobs) else f"it ended with {death(status)}"
                return done, doing, ended if done is not None else f"{ended} ({child.last_words()})"
            timeout = jobs[0].effort.timeout
            if time.monotonic() - news > timeout:
                return done, doing, f"it took longer than {timeout:.0f} s"
            time.sleep(0.02)
    finally:
        child.kill()


def _given_up(job: Job, ended: str) -> list[dict[str, Any]]:
    if job.what == plan.MEMORY:
        return [{"what": plan.MEMORY, "sides": {job.side: {"reason": ended}}}]
    sides = plan.sides(job.framework, job.variant)
    return [{"what": what, "sides": {side: {"reason": ended} for side in sides}} for what in (plan.FORWARD, plan.BOTH)]


def machine() -> dict[str, Any]:
    """What a reader needs to know of this machine to place the numbers; nothing that names it."""
    facts: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()}
    facts["threads_wanted"] = os.environ.get("OMP_NUM_THREADS")
    facts["load_at_start"] = round(os.getloadavg()[0], 1)
    for name, path, pattern in (
        ("cpu", "/proc/cpuinfo", r"model name\s*:\s*(.+)"),
        ("memory_kib", "/proc/meminfo", r"MemTotal:\s*(\d+)"),
    ):
        try:
            found = re.search(pattern, Path(path).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            found = None
        facts[name] = found[1] if found else None
    return facts
