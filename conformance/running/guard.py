"""Starts a worker, and ends with it all that it started: ``python guard.py SUPERVISOR-PID COMMAND...``.

A framework's process may fork children that leave its process group and its session, and these would outlive the run. A
control group would hold them, but needs rights that users don't have. This process makes itself their reaper instead
(prctl's PR_SET_CHILD_SUBREAPER, Linux): whatever loses its parent becomes its child, so that it can find all of them,
kill them, and then end as the worker ended. It does so when the worker ends, when it is told to (SIGTERM), and when the
supervisor dies, however that dies.

Standard library only; it runs alone, in the tool's interpreter, which is started without site packages.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PATIENCE = 10.0  # seconds for the kernel to end what was killed


class Told(BaseException):
    """SIGTERM, or the supervisor's death."""


def main(argv: list[str]) -> None:
    supervisor, command = int(argv[0]), argv[1:]

    def told(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise Told

    signal.signal(signal.SIGTERM, told)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the supervisor decides; unlike SIG_IGN the worker doesn't inherit it
    status = 0
    try:
        if sys.platform.startswith("linux"):
            prctl = ctypes.CDLL(None).prctl
            prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != supervisor:
            raise Told
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a framework's core dump is gigabytes, and so would ours be
        try:
            worker = subprocess.Popen(command, start_new_session=True)
        except OSError as error:
            print(f"can't be started ({error.strerror or error})", file=sys.stderr)
            os._exit(127)
        status = _reap(worker.pid)
    except Told:
        status = -signal.SIGKILL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_all()
    if status < 0:
        if status != -signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status if status >= 0 else 128 - status)


def _reap(worker: int) -> int:
    """Waits for the worker, and for orphans that end before it. Its status as subprocess has it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _end_all() -> None:
    """Kills every descendant; an orphan of one becomes a child of this process, and its turn comes."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for pid in _descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _descendants() -> list[int]:
    """All processes below this one, by /proc; where there is none, nothing is known of them."""
    parents: dict[int, int] = {}
    try:
        entries = os.listdir("/proc")
    except OSError:
        return []
    for entry in entries:
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    parents[int(entry)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
    me, found = os.getpid(), []
    for pid in parents:
        above, steps = parents[pid], 0
        while above not in (0, me) and steps < 1000:
            above, steps = parents.get(above, 0), steps + 1
        if above == me:
            found.append(pid)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
