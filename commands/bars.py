"""Progress for people, on stderr."""

from __future__ import annotations

from collections.abc import Sequence

from xent.conformance.implementations import Implementation
from xent.conformance.report import console as terminals
from xent.conformance.report import escape
from xent.conformance.report.console import Console
from xent.conformance.running import supervisor


class Bars:
    """A progress bar for each implementation; where the console is no terminal, lines."""

    def __init__(self, console: Console, chosen: Sequence[Implementation], planned: int) -> None:
        self.bars = terminals.progress(console)
        self._console = console
        self._tasks = {
            one.id: self.bars.add_task("", start=False, name=escape.line(one.id, escape.NAME), total=planned)
            for one in chosen
        }

    def say(self, implementation: str, line: str) -> None:
        self.bars.start_task(self._tasks[implementation])
        self.bars.update(self._tasks[implementation], description=escape.line(line))
        if not self._console.is_terminal:
            self._console.print(escape.line(f"{implementation}: {line}"), soft_wrap=True)

    def follow(self, event: supervisor.Event) -> None:
        self.bars.update(self._tasks[event.implementation], completed=event.done, total=event.planned, description="")
