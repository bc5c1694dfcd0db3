"""The picture: the losses of every run above, their distance from one portable run below; a column per task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from curves import Run, by_task
from frameworks import LOSSES

# Okabe and Ito's colours: told apart with any colour vision; dashes tell native from portable without colour.
COLOURS = {"torch": "#D55E00", "mint": "#009E73", "mindspore": "#0072B2", "oneflow": "#CC79A7"}
SMALLEST = 1e-8  # where a distance of 0 is drawn
REFERENCE = "torch+xent"


def draw(runs: Sequence[Run], limit: float, out: Path) -> list[Path]:
    """Writes curves.png and curves.svg into `out`; returns their paths."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "xent", "font.size": 9})
    matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot
    from PIL import Image

    tasks = by_task(runs)
    figure, axes = pyplot.subplots(
        2, len(tasks), figsize=(5.2 * len(tasks), 7.2), squeeze=False, sharex=True, layout="constrained"
    )
    figure.suptitle(
        "Dashed and pale: each framework's own loss. Solid: the portable loss (+xent).", x=0.01, ha="left", fontsize=9
    )
    for column, (task, found) in enumerate(tasks.items()):
        above, below = axes[:, column]
        _losses(above, found)
        above.set_title(f"{task}: training loss", loc="left", fontweight="bold")
        _distances(below, found, limit)
        below.set_title(f"largest distance so far from {REFERENCE}", loc="left")
        below.set_xlabel("step")
        below.legend(
            *above.get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, frameon=False,
            handlelength=3, fontsize=8,
        )  # fmt: skip
    bitmap, vectors = out / "curves.png", out / "curves.svg"
    figure.savefig(vectors, metadata={"Date": None})
    figure.savefig(bitmap, dpi=110)
    pyplot.close(figure)
    with Image.open(bitmap) as picture:  # a palette: a third of the size, since the picture is in the repository
        picture.convert("RGB").quantize(96).save(bitmap, optimize=True)
    return [bitmap, vectors]


def _losses(axis: Any, runs: Sequence[Run]) -> None:
    """Runs that coincide stay visible: the native ones are broad and pale, and each is narrower than those under it."""
    missing = []
    for number, run in enumerate(runs):
        if np.isfinite(run.losses).any():
            look = _look(run, 6.5 * 0.74**number)
            axis.plot(run.losses, label=run.loss, alpha=1 if _portable(run) else 0.5, **look)
        if why := _problem(run):
            missing.append(f"{run.loss}: {why}")
    if missing:
        axis.text(
            1, 0.98, "\n".join(missing), transform=axis.transAxes, ha="right", va="top", fontsize=8, color="#333333"
        )


def _distances(axis: Any, runs: Sequence[Run], limit: float) -> None:
    reference = next(run for run in runs if run.loss == REFERENCE)
    ends: list[tuple[float, Run]] = []
    for run in runs:
        apart = np.abs(run.losses - reference.losses)
        if run is reference or np.isnan(apart).all():
            continue
        line = np.maximum(np.fmax.accumulate(apart), SMALLEST)
        axis.plot(line, **_look(run, 1.6))
        ends.append((float(np.log10(line[-1])), run))
    axis.axhline(limit, color="#555555", linewidth=1)
    axis.text(0, limit * 1.2, f"limit for the portable losses: {limit:g}", color="#555555", fontsize=8)
    axis.set_yscale("log")
    axis.set_ylim(SMALLEST / 2, limit * 5)
    clear = -np.inf
    for height, run in sorted(ends, key=lambda end: end[0]):  # from below, each label clear of the one before
        clear = max(height, clear + 0.2)
        text = run.loss if 10**height > SMALLEST else f"{run.loss}: 0"
        axis.text(1.02 * len(run.losses), 10**clear, text, color=_colour(run), fontsize=8, va="center")


def _portable(run: Run) -> bool:
    return next(loss.portable for loss in LOSSES if loss.id == run.loss)


def _colour(run: Run) -> str:
    return COLOURS[run.loss.split("+")[0]]


def _look(run: Run, width: float) -> dict[str, Any]:
    dashes = "-" if _portable(run) else (0, (4, 2))
    return {"color": _colour(run), "linestyle": dashes, "linewidth": width}


def _problem(run: Run) -> str:
    """What became of a run that didn't train to the end in numbers; empty for one that did."""
    if run.failure:
        return run.failure
    wrong = ~np.isfinite(run.losses)
    if wrong.all():
        return f"{run.losses[0]} at every step"
    return f"{run.losses[wrong][0]} from step {np.argmax(wrong)} on" if wrong.any() else ""
