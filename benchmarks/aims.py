"""The project's goals, as data: each bounds a portable loss by the native loss beside it, or the harness's own cost.

docs/benchmarks.md shows them as tables, and a test compares.
"""

from __future__ import annotations

from typing import NamedTuple

from .plan import BOTH, MEMORY, SHAPES


class Aim(NamedTuple):
    """portable <= factor * native + slack.

    Attributes:
        text: as a table shows it.
        framework: one of plan.FRAMEWORKS.
        what: plan.BOTH or plan.MEMORY.
        shapes: where it holds.
        variants: where it holds; empty: in all.
        factor: of native's time or extra memory.
        slack: seconds, or bytes.
    """

    text: str
    framework: str
    what: str
    shapes: tuple[str, ...]
    factor: float
    slack: float = 0.0
    variants: tuple[str, ...] = ()

    def met(self, native: float, portable: float) -> bool:
        """Whether these two meet it."""
        return portable <= self.factor * native + self.slack


SMALL = ("8x5",)
LARGE_C = ("2048x32000", "1024x128256")
K_DIMENSIONAL = ("16x100x4096", "16x21x512x512")

AIMS = (  # the first that fits a row is its aim
    Aim("at most native", "mindspore", BOTH, SMALL, 1.0),
    Aim("10x faster", "mindspore", BOTH, ("1024x1000",), 1 / 10, variants=("plain",)),
    Aim("10x faster", "mindspore", BOTH, ("2048x32000",), 1 / 10),
    Aim("4x faster", "mindspore", BOTH, SHAPES, 1 / 4),
    Aim("at most 1.1x + 30 µs", "torch", BOTH, SMALL, 1.1, 30e-6),
    Aim("2.5x faster", "torch", BOTH, LARGE_C, 1 / 2.5),
    Aim("2x faster", "torch", BOTH, ("1024x1000",), 1 / 2),
    Aim("at most 1.1x", "torch", BOTH, SHAPES, 1.1),
    Aim("at most 60 %", "torch", MEMORY, LARGE_C, 0.6),
    Aim("at most 1.1x + 60 µs", "oneflow", BOTH, SMALL, 1.1, 60e-6),
    Aim("2x faster", "oneflow", BOTH, LARGE_C, 1 / 2),
    Aim("1.5x faster", "oneflow", BOTH, K_DIMENSIONAL, 1 / 1.5),
    Aim("at most 1.1x", "oneflow", BOTH, SHAPES, 1.1),
)


HARNESS = 1.5  # a run's time over that of its start-up and of the framework's own calls


def aim_of(framework: str, shape: str, variant: str, what: str) -> Aim | None:
    """The aim for a row; None where there is none."""
    for aim in AIMS:
        fits = aim.framework == framework and aim.what == what and shape in aim.shapes
        if fits and (not aim.variants or variant in aim.variants):
            return aim
    return None
