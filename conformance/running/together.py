"""Runs many implementations side by side: an interpreter for each, a worker in it, and a line of progress."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from xent.conformance.evidence import columns
from xent.conformance.evidence.columns import Column
from xent.conformance.implementations import Implementation
from xent.conformance.protocol.case import Case
from xent.errors import Unavailable, UnreadableInput

from . import interpreters, supervisor


class Progress(Protocol):
    """Who is told how far a run is."""

    def say(self, implementation: str, line: str) -> None:
        """A line for people about an implementation."""

    def follow(self, event: supervisor.Event) -> None:
        """What a worker did."""


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes:
        interpreters: by implementation or framework, as named by the user.
        timeout: seconds that one case may take.
        jobs: implementations at a time; None for one a core.
    """

    interpreters: Mapping[str, str]
    timeout: float = 60.0
    jobs: int | None = None


def run_all(
    chosen: Sequence[Implementation],
    cases: Sequence[Case],
    folder: Path,
    settings: Settings,
    progress: Progress,
    shown: Callable[[], AbstractContextManager[object]],
) -> list[Column]:
    """Every implementation; what one can't do never stops another.

    Args:
        chosen: in the order in which they start; the columns come in that order.
        folder: of the results files.
        shown: what is entered while they run.

    Raises:
        KeyboardInterrupt: by Ctrl-C. What was recorded stays for the next run, and no worker is left.
    """
    stop = threading.Event()

    def one(implementation: Implementation) -> Column:
        def say(line: str) -> None:
            progress.say(implementation.id, line.removeprefix(f"{implementation.id}: "))

        try:
            found = interpreters.resolve(implementation.id, implementation.framework, settings.interpreters, say, stop)
            say(f"starts in {found.path}" if found.how == "named" else "starts")
            with interpreters.explained(found, implementation.framework, implementation.module, stop=stop):
                evidence = supervisor.run_worker(
                    implementation, found, cases, folder, settings.timeout, progress.follow, reuse=True, stop=stop,
                    say=say,
                )  # fmt: skip
        except Unavailable as error:
            say("not run")
            return columns.not_run(
                implementation.id, implementation.mode, error.reason + (f". {error.remedy}" if error.remedy else "")
            )
        except UnreadableInput as error:  # no room for its evidence: the others may need less
            say("stopped")
            return columns.not_run(implementation.id, implementation.mode, str(error).rstrip("."))
        say("done")
        return columns.of_evidence([evidence])[0]

    with shown(), ThreadPoolExecutor(max_workers=settings.jobs or os.cpu_count() or 1) as pool:
        tasks = [pool.submit(one, implementation) for implementation in chosen]
        try:
            return [task.result() for task in tasks]
        except BaseException:  # Ctrl-C, or an error of ours: the workers must not outlive it
            stop.set()
            for task in tasks:
                task.cancel()
            raise
