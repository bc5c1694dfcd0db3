"""The verdicts: what each is called, in which order they stand, and how reports show them. The one table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One verdict of the design's table.

    Attributes:
        name: as it stands in every report.
        short: in a cell of a table.
        tone: what a report chooses a colour by: "good", "odd", "bad", "dark" or "dim".
        gravity: the larger, the worse. None for a case that wasn't judged: excluded by a document, or never run.
    """

    name: str
    short: str
    tone: str
    gravity: int | None


KINDS = (
    Kind("agrees", "agrees", "good", 0),
    Kind("imprecise", "imprecise", "odd", 1),
    Kind("deviates", "deviates", "bad", 3),
    Kind("rejects", "rejects", "bad", 2),
    Kind("accepts", "accepts", "bad", 4),
    Kind("crashes", "crashes", "dark", 6),
    Kind("hangs", "hangs", "dark", 5),
    Kind("unsupported", "unsupp.", "dim", None),
    Kind("no evidence", "-", "dim", None),
)
OF: dict[str, Kind] = {kind.name: kind for kind in KINDS}
VERDICTS = tuple(OF)
OUTSIDE = tuple(kind.name for kind in KINDS if kind.gravity is None)
"""Verdicts on what wasn't judged: neither agreement nor a finding."""
QUIET = ("agrees", *OUTSIDE)
"""Verdicts in which there is nothing to look into."""

PARTS = (
    "value", "gradient", "gradient of target", "gradient of weight", "shape", "dtype", "nan", "error",
)  # fmt: skip
"""What can be wrong; "gradient" is that with respect to input."""


@dataclass(frozen=True)
class Verdict:
    """What the judge makes of one piece of evidence.

    Attributes:
        case, implementation: ids.
        verdict: one of VERDICTS.
        parts: what is wrong, of PARTS.
        error_in_bounds: the largest of value and gradients; inf where an exact answer is missed; None where nothing was
            compared. Of a case with a printed expectation: in its tolerances.
        error_in_ulps: likewise in ulps of the output dtype, against the correctly rounded answer. Never judged on.
        reason: a sentence.
        kernels: of the evidence, "native" or "stand-in".
    """

    case: str
    implementation: str
    verdict: str
    parts: tuple[str, ...] = ()
    error_in_bounds: float | None = None
    error_in_ulps: float | None = None
    reason: str = ""
    kernels: str = "native"


def worst(verdicts: Iterable[str]) -> str | None:
    """The gravest of those that were judged; None where none was."""
    judged = [OF[name] for name in verdicts if OF[name].gravity is not None]
    return max(judged, key=lambda kind: kind.gravity or 0).name if judged else None
