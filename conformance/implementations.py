"""What can run: the one table of xent's own implementations, and what a plug-in says of itself.

An implementation is an adapter in its framework's interpreter. A mode or a version is a row here, and for a version an
environment file; a module only where the adapter is another. The order of the rows is the order of reports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from xent import adapters


@dataclass(frozen=True)
class Implementation:
    """What a worker runs.

    Attributes:
        id: as on the command line, in reports and in file names, e.g. ``"mint-jit"``.
        module: the adapter's module path, e.g. ``"xent.adapters.mint.jit"``.
        search_path: the folder from which a plug-in imports; None where an interpreter finds it as this process would.
        framework: the import name of what it needs, and of the environment that is made for it.
        mode: "eager", "jit", "portable", ...
        program: the module that is the worker.
    """

    id: str
    module: str
    search_path: str | None = None
    framework: str = ""
    mode: str = "eager"
    program: str = "xent.conformance.worker"


class Row(NamedTuple):
    """One implementation of xent's own.

    Attributes:
        id: ``NAME[-MODE][+xent][@VERSION]``.
        module: its adapter, inside ``xent.adapters``.
        framework, mode, sample: as the adapter says them, here so that nobody imports it to ask.
        seconds: that the built-in cases take it, about, start-up included: the longest starts first.
    """

    id: str
    module: str
    framework: str
    mode: str
    seconds: int
    sample: str | None = None

    @property
    def implementation(self) -> Implementation:
        """What a worker runs."""
        return Implementation(self.id, f"xent.adapters.{self.module}", None, self.framework, self.mode)


TABLE = (
    Row("torch", "torch", "torch", "eager", 5),
    Row("torch+xent", "torch.ported", "torch", "portable", 6),
    Row("torch-linear", "torch.linear_native", "torch", "linear", 6),
    Row("torch-linear-chunked", "torch.linear_chunked", "torch", "linear, chunked", 6),
    Row("mint", "mint", "mindspore", "eager", 30),
    Row("mint+xent", "mint.ported", "mindspore", "portable", 25),
    Row("mint-jit", "mint.jit", "mindspore", "jit", 45, "jit-sample"),
    Row("mindspore", "mindspore", "mindspore", "eager", 35),
    Row("mindspore+xent", "mindspore.ported", "mindspore", "portable", 25),
    Row("oneflow", "oneflow", "oneflow", "eager", 20),
    Row("oneflow+xent", "oneflow.ported", "oneflow", "portable", 10),
    Row("paddle", "paddle", "paddle", "eager", 8),
    Row("paddle+xent", "paddle.ported", "paddle", "portable", 10),
    Row("numpy", "numpy", "numpy", "eager", 2),
)
_ROWS = {row.id: row for row in TABLE}
_PLACES = {row.id: place for place, row in enumerate(TABLE)}


def row(id: str) -> Row | None:
    """The table's row of that id; None for a plug-in's."""
    return _ROWS.get(id)


def names() -> tuple[str, ...]:
    """The ids of all that is installed: the table's, then those of other distributions' entry points."""
    others = (name for name in adapters.names() if name not in _ROWS)
    return (*_ROWS, *others)


def place(id: str) -> tuple[int, str, bool]:
    """Where it stands among others, as a key to sort by: the table's order, then plug-ins, each portable loss beside
    the native one."""
    native = id.removesuffix("+xent")
    return (_PLACES.get(id, len(TABLE)), native, native != id)


def longest_first(found: Iterable[Implementation]) -> list[Implementation]:
    """In the order to start them, so that no core is idle at the end; a plug-in, of which nothing is known, first."""
    return sorted(found, key=lambda one: -_ROWS[one.id].seconds if one.id in _ROWS else float("-inf"))
