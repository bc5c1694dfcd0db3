"""The terminal that we print on. No other module of the tool makes a rich Console: this one believes no text.

A str that is printed, stands in a table or heads a rule is text, never markup, an emoji's name or a command to the
terminal. `styled` says the same for one line with a style of ours, on any console.
"""

from __future__ import annotations

from typing import Any, Iterable

from rich import console as rich_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

from xent.conformance.report import escape


class Console(rich_console.Console):
    """A rich Console on which text from outside is only text."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Before the layout, so that what is made visible has its place in it."""
        return super().render_str(escape.block(text), **how)

    def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
        """After it, for a `Text` that was made of raw text: its line may grow too long, and it holds no command."""
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else Segment(escape.block(segment.text), segment.style)


def make(*, stderr: bool = False, **options: Any) -> Console:
    """A console on stdout, for data, or on stderr, for people. `options` are rich's, for tests."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, **options)


def styled(text: object, style: str = "", limit: int | None = None) -> Text:
    """One line, visible whatever it holds. `limit` as of `escape.line`."""
    return Text(escape.line(text, limit), style=style)


def progress(console: Console) -> Progress:
    """Bars for tasks with a field `name`, the count, the time, and the task's description."""
    return Progress(
        TextColumn("{task.fields[name]:<10}", markup=False), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False), console=console,
    )  # fmt: skip
