"""Cases, records and verdicts for the tests of the judge."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

import xent.reference
from xent import dtypes
from xent.adapters import Capabilities
from xent.conformance.evidence.records import Raised, Record
from xent.conformance.judging.judge import judge
from xent.conformance.judging.verdicts import Verdict
from xent.conformance.protocol.case import Case, Expected
from xent.spec import Arguments, CrossEntropySpec

INF, NAN = np.inf, np.nan
X = np.array([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]], np.float32)
T = np.array([0, 1])


def a_case(
    x: Any = X, t: Any = T, expected: Optional[Expected] = None, gradient: bool = True, **arguments: Any
) -> Case:
    return Case(
        "a-case",
        Arguments(**arguments),
        np.asarray(x),
        np.asarray(t),
        expected=expected,
        gradients=("input",) if gradient else (),
    )


def a_value(value: Any, gradient: Any = None, dtype: str = "float32", **more: Any) -> Record:
    slope = None if gradient is None else dtypes.from_float64(gradient, dtype)
    return Record("a-case", "value", dtypes.from_float64(value, dtype), slope, **more)


def right_answer(case: Case) -> Tuple[np.ndarray, np.ndarray]:
    spec = CrossEntropySpec(*case.arguments)
    value = xent.reference.value(spec, case.input, case.target)
    return dtypes.to_float64(value), dtypes.to_float64(xent.reference.gradient(spec, case.input, case.target))


def an_error(phase: str = "forward", message: str = "no such thing", type: str = "ValueError") -> Record:
    return Record("a-case", "error", error=Raised(type, message, phase))


def verdict_of(case: Case, record: Optional[Record], capabilities: Optional[Capabilities] = None) -> Verdict:
    return judge(case, record, capabilities, "torch")
