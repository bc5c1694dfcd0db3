"""The measured rows, their ratios, and the results file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xent.conformance.files.atomic import write_atomically
from xent.errors import UnreadableInput

from . import plan
from .aims import Aim, aim_of

SCHEMA = "xent-loss-bench/1"
_SAME = 1e-3  # relative: two losses further apart than this didn't compute the same thing


@dataclass
class Row:
    """One line of the comparison.

    Attributes:
        framework, shape, variant: as in plan.Job.
        what: plan.FORWARD, plan.BOTH or plan.MEMORY.
        sides: by side; ``amount`` (median seconds, or bytes) with ``quartiles``, ``calls`` and the loss's ``value``, or
            ``reason``.
    """

    framework: str
    shape: str
    variant: str
    what: str
    sides: dict[str, dict[str, Any]] = field(default_factory=dict)

    def amount(self, side: str) -> float | None:
        """Seconds or bytes; None where there are none."""
        amount = self.sides.get(side, {}).get("amount")
        return None if amount is None else float(amount)

    @property
    def ratio(self) -> float | None:
        """The first side's amount over the second's: above 1 the second is faster, or smaller."""
        return self.against(plan.sides(self.framework, self.variant)[0])

    def against(self, other: str) -> float | None:
        """That side's amount over the second's."""
        first, second = self.amount(other), self.amount(plan.sides(self.framework, self.variant)[1])
        return first / second if first and second else None  # 0: less memory than can be told

    @property
    def copies(self) -> float | None:
        """The second side's time in copies of the logits; None where there is no copy."""
        second, copy = self.amount(plan.sides(self.framework, self.variant)[1]), self.amount("copy")
        return second / copy if second is not None and copy else None

    @property
    def aim(self) -> Aim | None:
        """The goal for this row."""
        return aim_of(self.framework, self.shape, self.variant, self.what)

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none, or nothing to judge it by."""
        native, portable = self.amount("native"), self.amount("portable")
        if self.aim is None or native is None or portable is None:
            return None
        return self.aim.met(native, portable)

    @property
    def notes(self) -> list[str]:
        """What the numbers don't say: sides that weren't measured, and losses that aren't the same."""
        notes = [f"{side}: {found['reason']}" for side, found in self.sides.items() if "reason" in found]
        values = [float(found["value"]) for found in self.sides.values() if "value" in found]
        if any(not math.isclose(values[0], value, rel_tol=_SAME) for value in values[1:]):
            notes.append(f"the losses differ: {' and '.join(f'{value:.6g}' for value in values)}")
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with what is computed from it for readers without this code."""
        sides = {
            name: {key: str(value) if _not_json(value) else value for key, value in found.items()}
            for name, found in self.sides.items()
        }
        row = {"framework": self.framework, "shape": self.shape, "variant": self.variant, "what": self.what}
        aim = self.aim and {"text": self.aim.text, "factor": self.aim.factor, "slack": self.aim.slack, "met": self.met}
        return {**row, "sides": sides, "ratio": self.ratio, "copies": self.copies, "aim": aim}


def _not_json(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


@dataclass
class Results:
    """A whole run: rows in the plan's order, and of each framework its versions or why it did not run."""

    effort: str
    date: str
    machine: dict[str, Any]
    frameworks: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(self, job: plan.Job, measured: dict[str, Any]) -> None:
        """Puts a measured row in, or its side into the row that has the other one."""
        key = (job.framework, job.shape, job.variant, measured["what"])
        for row in self.rows:
            if (row.framework, row.shape, row.variant, row.what) == key:
                row.sides.update(measured["sides"])
                return
        self.rows.append(Row(*key, sides=dict(measured["sides"])))

    def find(self, framework: str, shape: str, variant: str, what: str) -> Row | None:
        """The row, if it is there."""
        key = (framework, shape, variant, what)
        return next((row for row in self.rows if (row.framework, row.shape, row.variant, row.what) == key), None)

    def aims(self) -> tuple[int, int, int]:
        """How many aims are met, missed, and not to be judged."""
        marks = [row.met for row in self.rows if row.aim]
        return marks.count(True), marks.count(False), marks.count(None)

    def write(self, path: Path) -> None:
        """The JSON file, atomically. Raises OSError."""
        whole = {
            "schema": SCHEMA,
            "effort": self.effort,
            "date": self.date,
            "machine": self.machine,
            "frameworks": self.frameworks,
            "units": {plan.FORWARD: "s", plan.BOTH: "s", plan.MEMORY: "bytes"},
            "rows": [row.to_dict() for row in self.rows],
        }
        write_atomically(path, (json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Results:
        """What `write` wrote. Raises UnreadableInput."""
        try:
            whole = json.loads(path.read_bytes())
            if whole["schema"] != SCHEMA:
                raise ValueError(f"its schema is {whole['schema']!r}, not {SCHEMA!r}")
            rows = [
                Row(*(row[key] for key in ("framework", "shape", "variant", "what", "sides"))) for row in whole["rows"]
            ]
            return cls(whole["effort"], whole["date"], whole["machine"], whole["frameworks"], rows)
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"can't be read as measurements ({type(error).__name__}: {error})"
            raise UnreadableInput(str(path), None, problem, "Measure again: make bench.") from error
