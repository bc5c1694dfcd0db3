"""Checks that several processes make together, with a time limit: to wait for one another for ever is to fail.

Each process runs the checks of a script in order and writes a line for each into a file of its own; after the first
failure it ends, since the others wait for messages that will not come.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

SECONDS = 180  # for all processes of one number
SILENCE = datetime.timedelta(seconds=30)  # how long a process waits for another's message


def run(*checks):
    """Runs the checks in several processes at a time and prints ``ok NAME_in_2`` or ``FAILED NAME_in_2: why``.

    A check is a function of the number of processes: 2 and 3, or those in its attribute ``worlds``.
    """
    if len(sys.argv) > 1:
        _work(checks, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
        return
    failed = False
    for world in (2, 3, 4):
        names = [check.__name__ for check in checks if world in worlds(check)]
        with tempfile.TemporaryDirectory() as folder:
            found = _started(Path(folder), world)
        for name in names:
            lines = {rank: text for rank, lines in enumerate(found) for found_name, text in lines if found_name == name}
            wrong = [f"rank {rank}: {text}" for rank, text in lines.items() if text]
            wrong += [f"rank {rank}: never came to it" for rank in range(world) if rank not in lines]
            print(
                f"FAILED {name}_in_{world}: {'; '.join(wrong)[:3000]}" if wrong else f"ok {name}_in_{world}", flush=True
            )
            failed = failed or bool(wrong)
    sys.exit(1 if failed else 0)


def worlds(check):
    """In how many processes a check runs."""
    return getattr(check, "worlds", (2, 3))


def _started(folder, world):
    """For each rank the checks that it came to, with what failed."""
    arguments = [sys.executable, sys.argv[0], str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # else gloo looks up the host's name, which may have no address
    processes = [
        subprocess.Popen([*arguments, str(rank), str(world)], env=environment, stdout=sys.stderr)
        for rank in range(world)
    ]
    end = time.monotonic() + SECONDS
    try:
        for process in processes:
            process.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in processes:
            process.kill()
            process.wait()
    files = [folder / f"{rank}.txt" for rank in range(world)]
    texts = [file.read_text() if file.exists() else "" for file in files]
    return [[tuple(line.split("\t", 1)) for line in text.splitlines()] for text in texts]


def _work(checks, folder, rank, world):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world, timeout=SILENCE
    )
    with (folder / f"{rank}.txt").open("w") as lines:
        for check in checks:
            if world not in worlds(check):
                continue
            torch.manual_seed(0)  # the same numbers in every process
            try:
                check(world)
                lines.write(f"{check.__name__}\t\n")
            except BaseException as error:
                traceback.print_exc()
                message = " ".join(f"{type(error).__name__}: {error}".split())
                lines.write(f"{check.__name__}\t{message[:900]}\n")
                break
            lines.flush()
            torch.distributed.barrier()  # nobody is ahead when a check fails
    torch.distributed.destroy_process_group()
