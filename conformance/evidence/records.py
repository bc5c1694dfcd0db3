"""What a results file says, as types: its header, the record of a case, and its footer.

`record_json` reads them from JSON, and writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xent import dtypes
from xent.capabilities import Capabilities
from xent.conformance.protocol import limits

SCHEMA = "xent-results/2"
READS = (SCHEMA, "xent-results/1")  # which had no capabilities and no record of what could not be recorded
OUTCOMES = ("value", "error", "crash", "timeout", "unsupported", "not-recorded")
PHASES = ("construct", "forward", "backward")
ARRAYS = ("value", "gradient")


@dataclass(frozen=True)
class Implementation:
    """Which implementation. `kernels` is what its records say, joined by "+"; empty while a run is under way."""

    id: str
    name: str
    version: str
    device: str
    mode: str
    kernels: str


@dataclass(frozen=True)
class AdapterSource:
    """The adapter module that ran, and the SHA-256 of its source."""

    module: str
    sha256: str


@dataclass(frozen=True)
class CaseSet:
    """The cases that were asked: the digest of all of them, and how many they are."""

    sha256: str
    count: int


@dataclass(frozen=True)
class Header:
    """The first line.

    Attributes:
        packages: versions by name.
        started: when, ISO 8601; empty while it isn't known.
        adapter: None in a file that doesn't say.
        capabilities: the adapter's, as they were when it ran. None, in a file that doesn't say, excludes nothing.
        sample: the tag of the cases that this implementation runs; None where it runs all.
    """

    implementation: Implementation
    python: str
    platform: str
    packages: Mapping[str, str]
    case_set: CaseSet
    started: str
    adapter: AdapterSource | None = None
    capabilities: Capabilities | None = None
    sample: str | None = None
    schema: str = SCHEMA


@dataclass(frozen=True)
class Raised:
    """An exception: its class, its text, and the call that it came from, one of PHASES."""

    type: str
    message: str
    phase: str


@dataclass(frozen=True, eq=False)
class Record:
    """What was recorded of one case.

    Attributes:
        case: its id.
        outcome: one of OUTCOMES.
        value, gradient: arrays; None where there is none.
        gradients: with respect to "target" and "weight", by name; None where the implementation gave none at all.
        error: for the outcome "error".
        signal: for "crash": a signal's name, or ``exit N``.
        stderr: the end of what the process printed there, for "crash" and "timeout".
        reason: for "not-recorded": what the harness couldn't do.
        casts: conversions that the framework forced.
        kernels: "native" or "stand-in".
        ms: milliseconds in the framework's own calls.
    """

    case: str
    outcome: str
    value: dtypes.Array | None = None
    gradient: dtypes.Array | None = None
    gradients: Mapping[str, dtypes.Array] | None = None
    error: Raised | None = None
    signal: str | None = None
    stderr: str = ""
    reason: str = ""
    casts: tuple[str, ...] = ()
    kernels: str = "native"
    ms: float | None = None


@dataclass(frozen=True)
class Footer:
    """The last line of a completed file: how many cases were planned and recorded, and those left out, by reason."""

    planned: int
    recorded: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def kernels_of(records: Iterable[Record]) -> str:
    """What the records of values say of their kernels, as the header says it: each word once, sorted, joined by "+"."""
    found = sorted({record.kernels for record in records if record.outcome == "value"}) or ["native"]
    more = found[limits.KERNELS :]
    return "+".join([*found[: limits.KERNELS], *([f"{len(more)} more"] if more else [])])[: limits.NAME]
