"""What is measured: shapes, variants and how hard. Read on both sides: imports on Python 3.8 with nothing else."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

FRAMEWORKS = ("torch", "mindspore", "oneflow")  # mint has no native loss on CPU to compare with
SHAPES = ("8x5", "1024x1000", "8192x10", "16x100x4096", "16x21x512x512", "2048x32000", "1024x128256")
VARIANTS = ("plain", "weight+ignore", "smoothing", "probabilities")
FORWARD, BOTH, MEMORY = "forward", "forward+backward", "memory"

LINEAR = "linear"
LINEAR_SHAPE = "2048x512x32000"  # N x H x C

# The first two are compared, the second to the first. A copy of the logits is the limit: each has to read all of them.
SIDES = ("native", "portable", "copy")
# The logits and their portable loss, and the loss that never holds them; torch's own stand beside these.
LINEAR_SIDES = ("logits", "linear")
TORCHS_SIDES = ("torch", "torch-chunked", "torch-compiled")


class Effort(NamedTuple):
    """How hard to measure.

    Attributes:
        budget: seconds for the rounds of one row; a round calls each side once.
        minimum: rounds, even if they take longer; 3 do once they have taken five times the budget.
        maximum: rounds, even if there is time left.
        memory_from: the number of logits from which memory is measured.
        memory_variants_from: the number of classes from which it is measured for every variant, not only the plain one.
        timeout: seconds after which a measurement without news is ended.
    """

    budget: float
    minimum: int
    maximum: int
    memory_from: int
    memory_variants_from: int
    timeout: float


FULL = Effort(1.0, 5, 5000, 1000 * 1000, 32000, 180.0)
QUICK = Effort(0.02, 3, 20, 500 * 1000, 32000, 120.0)
QUICK_SHAPES = ("8x5", "256x2000", "4x10x256")
QUICK_LINEAR_SHAPE = "64x16x500"


class Job(NamedTuple):
    """One measurement in a framework's interpreter.

    Attributes:
        framework: one of FRAMEWORKS.
        shape: ``"1024x1000"``, of the logits; for LINEAR it is N x H x C.
        variant: one of VARIANTS, or LINEAR.
        what: ``"time"`` (all sides, forward and forward+backward) or MEMORY (one side).
        side: for MEMORY, which.
        effort: as in Effort.
        barred: sides that ended the process in an earlier attempt, with how.
    """

    framework: str
    shape: str
    variant: str
    what: str
    side: str
    effort: Effort
    barred: Dict[str, str]

    @property
    def id(self) -> str:
        """As progress shows it: ``"torch 8x5 plain time"``."""
        return " ".join(part for part in self[:5] if part)

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON."""
        return {**self._asdict(), "effort": list(self.effort)}

    @classmethod
    def from_dict(cls, job: Dict[str, Any]) -> Job:
        """What `to_dict` gave."""
        return cls(**{**job, "effort": Effort(*job["effort"])})


def dimensions(shape: str) -> Tuple[int, ...]:
    """``"16x100x4096"`` as (16, 100, 4096). Raises ValueError, worded for the user."""
    parts = shape.split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"{shape!r} is no shape such as 1024x1000")
    return tuple(int(part) for part in parts)


def logits(shape: str, variant: str) -> Tuple[int, ...]:
    """The shape of the logits, whether they are given or to be computed."""
    sizes = dimensions(shape)
    return (sizes[0], sizes[2]) if variant == LINEAR else sizes


def sides(framework: str, variant: str) -> Tuple[str, ...]:
    """What stands side by side."""
    if variant != LINEAR:
        return SIDES
    return LINEAR_SIDES + TORCHS_SIDES if framework == "torch" else LINEAR_SIDES


def jobs(framework: str, shapes: Sequence[str], linear: Sequence[str], effort: Effort) -> List[Job]:
    """All that is to be measured in one framework; `linear` holds shapes N x H x C."""
    cases = [(shape, variant) for shape in shapes for variant in VARIANTS] + [(shape, LINEAR) for shape in linear]
    found = []
    for shape, variant in cases:
        found.append(Job(framework, shape, variant, "time", "", effort, {}))
        if _memory(shape, variant, effort):
            measured = (side for side in sides(framework, variant) if side != "copy")
            found += [Job(framework, shape, variant, MEMORY, side, effort, {}) for side in measured]
    return found


def _memory(shape: str, variant: str, effort: Effort) -> bool:
    if variant == LINEAR:
        return True
    sizes = dimensions(shape)
    count = 1
    for size in sizes:
        count *= size
    classes = sizes[1] if len(sizes) > 1 else sizes[0]
    return count >= effort.memory_from and (variant == "plain" or classes >= effort.memory_variants_from)
