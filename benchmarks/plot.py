"""The picture of a run: how much faster each portable loss is, and how much memory it needs, beside the aims."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from xent.conformance.files.atomic import write_atomically

from . import plan
from .aims import Aim
from .rows import Results, Row

_COLOURS = {"plain": "#1b6ca8", "weight+ignore": "#d1495b", "smoothing": "#66a182", "probabilities": "#8d6a9f"}
_STEP = 1 / (len(plan.VARIANTS) + 1)


def draw(results: Results, path: Path) -> None:
    """Writes the PNG, atomically.

    Raises:
        ImportError: matplotlib isn't installed.
        OSError: the file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frameworks = list(dict.fromkeys(row.framework for row in results.rows))
    given = [row for row in results.rows if row.variant != plan.LINEAR]
    shapes = list(dict.fromkeys(row.shape for row in given))
    large = list(dict.fromkeys(row.shape for row in given if row.what == plan.MEMORY))
    columns, heights = max(len(frameworks), 1), [max(len(shapes), 1), max(len(large), 1)]
    figure = Figure(figsize=(1.2 + 3.6 * columns, 2.3 + 0.5 * sum(heights)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, columns, squeeze=False, sharey="row", sharex="row", height_ratios=heights)
    for column, framework in enumerate(frameworks):
        version = results.frameworks.get(framework, {}).get("version", "")
        rows = [row for row in given if row.framework == framework]
        _speed(grid[0][column], [row for row in rows if row.what == plan.BOTH], shapes)
        _memory(grid[1][column], [row for row in rows if row.what == plan.MEMORY], large)
        grid[0][column].set_title(f"{framework} {version}".strip(), loc="left", fontweight="bold")
    figure.suptitle("Portable losses against the frameworks' own: forward+backward, float32, CPU", fontsize=12)
    _legend(figure)
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    write_atomically(path, png.getvalue())


def _speed(axes: Any, rows: list[Row], shapes: list[str]) -> None:
    axes.set_xscale("log")
    axes.axvline(1, color="0.3", linewidth=0.8)
    _dots(axes, [(row, row.ratio) for row in rows], shapes)
    for row in rows:
        native, copy = row.amount("native"), row.amount("copy")
        if native and copy:
            axes.plot(native / copy, _place(row, shapes), marker="|", color="0.75", markersize=6, zorder=1)
        if row.aim and native:
            axes.plot(_speedup(row.aim, native), _place(row, shapes), marker="|", color="black", markersize=9, zorder=2)
    axes.set_xlabel("times as fast as native")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")


def _memory(axes: Any, rows: list[Row], shapes: list[str]) -> None:
    axes.axvline(100, color="0.3", linewidth=0.8)
    _dots(axes, [(row, None if row.ratio is None else 100 / row.ratio) for row in rows], shapes)
    for row in rows:
        if row.aim:
            axes.plot(100 * row.aim.factor, _place(row, shapes), marker="|", color="black", markersize=9, zorder=2)
    axes.set_xlim(left=0)
    axes.set_xlabel("extra memory at the peak, % of native's")


def _dots(axes: Any, values: list[tuple[Row, float | None]], shapes: list[str]) -> None:
    for row, value in values:
        if value is not None:
            colour = _COLOURS[row.variant]
            face = "white" if row.met is False else colour
            axes.plot(
                value, _place(row, shapes), marker="o", color=colour, markerfacecolor=face, markersize=6, zorder=3
            )
    for line in range(1, len(shapes)):
        axes.axhline(line - 0.5, color="0.9", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(shapes)), shapes)
    axes.set_ylim(len(shapes) - 0.5, -0.5)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)


def _speedup(aim: Aim, native: float) -> float:
    """The least speed-up that meets the aim."""
    return native / (aim.factor * native + aim.slack)


def _place(row: Row, shapes: list[str]) -> float:
    return shapes.index(row.shape) - 0.5 + _STEP * (plan.VARIANTS.index(row.variant) + 1)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    def dot(colour: str, face: str | None = None, shape: str = "o") -> Any:
        return Line2D([], [], linestyle="", marker=shape, color=colour, markerfacecolor=face or colour)

    handles = [dot(colour) for colour in _COLOURS.values()]
    handles += [dot("0.3"), dot("0.3", "white"), dot("black", shape="|"), dot("0.75", shape="|")]
    labels = [*_COLOURS, "aim met, or none", "aim missed", "the aim", "a copy of the logits: the limit"]
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
