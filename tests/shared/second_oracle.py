"""A second oracle, for the tests of the first: the documents' formulas, written plainly in mpmath, at two precisions
that must agree. It shares nothing with xent.reference but the numbers of the dtypes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import mpmath
import numpy as np
from mpmath import mpf

from xent import dtypes, reference
from xent.spec import CrossEntropySpec


class Drawn(NamedTuple):
    """One call."""

    spec: CrossEntropySpec
    input: np.ndarray
    target: np.ndarray


class Straight:
    """S9 to S13 as the documents write them, in mpmath at one precision (`mpmath.mp.prec` of the caller)."""

    def __init__(self, spec: CrossEntropySpec, x: np.ndarray, t: np.ndarray) -> None:
        axis = min(1, x.ndim - 1)
        self.classes = classes = x.shape[axis]
        rows = np.moveaxis(dtypes.to_float64(x), axis, -1).reshape(x.size // classes, classes)
        self.logits = [[mpf(v) for v in row] for row in rows.tolist()]
        self.w = (
            [mpf(1)] * classes if spec.weight is None else [mpf(v) for v in dtypes.to_float64(spec.weight).tolist()]
        )
        self.e, self.reduction, self.indices = mpf(spec.label_smoothing), spec.reduction, dtypes.is_integer(t)
        if self.indices:
            labels = t.reshape(-1).tolist()
            self.kept = [label != spec.ignore_index for label in labels]
            y = [[mpf(c == label) for c in range(classes)] for label in labels]
            self.labels = labels
        else:
            y = np.moveaxis(dtypes.to_float64(t), axis, -1).reshape(rows.shape).tolist()
            self.kept = [True] * len(y)
        self.y = [[(1 - self.e) * mpf(v) + self.e / classes for v in row] for row in y]
        self.shares = [self._softmax(row) for row in self.logits]
        self.losses = [self._loss(n) for n in range(len(self.y))]

    @staticmethod
    def _softmax(x: list[Any]) -> tuple[list[Any], list[Any]] | None:
        """(p, -log p), None for a row that is nan."""
        if any(mpmath.isnan(v) or v == mpmath.inf for v in x) or all(v == -mpmath.inf for v in x):
            return None
        top = max(x)
        # exp(-800) is below half of every dtype's smallest number: exp of less would only ever break a tie, and does so
        # as well from there, where the precision still sees it.
        powers = [mpmath.exp(max(v - top, -800)) if v != -mpmath.inf else mpf(0) for v in x]
        whole = mpmath.fsum(powers)
        log = mpmath.log(whole)
        return [v / whole for v in powers], [log - (v - top) if v != -mpmath.inf else mpmath.inf for v in x]

    def _loss(self, n: int) -> Any:
        if not self.kept[n]:
            return mpf(0)
        share = self.shares[n]
        if share is None:
            return mpmath.nan
        a = [self.w[c] * self.y[n][c] for c in range(self.classes)]
        return sum((a[c] * share[1][c] for c in range(self.classes) if a[c] != 0), mpf(0))

    def divisor(self) -> Any:
        """What mean divides by; None where nothing is selected."""
        if self.reduction != "mean":
            return mpf(1)
        if not self.indices:
            return mpf(len(self.y)) or None
        chosen = [self.w[label] for label, kept in zip(self.labels, self.kept, strict=True) if kept]
        return mpmath.fsum(chosen) if any(w != 0 for w in chosen) else None

    def over(self, number: Any) -> Any:
        divisor = self.divisor()
        if divisor is None or (divisor == 0 and number == 0):
            return mpmath.nan
        return number * mpmath.inf if divisor == 0 else number / divisor

    def value(self) -> list[Any]:
        if self.reduction == "none":
            return self.losses
        return [self.over(sum(self.losses, mpf(0)))]

    def gradient(self) -> list[Any]:
        return [self._slope(n, j) for n in range(len(self.y)) for j in range(self.classes)]

    def _slope(self, n: int, j: int) -> Any:
        share, divisor = self.shares[n], self.divisor()
        if not self.kept[n]:
            return mpf(0)
        if share is None or not divisor:
            return mpmath.nan
        whole = sum((self.w[c] * self.y[n][c] for c in range(self.classes)), mpf(0))
        return (share[0][j] * whole - self.w[j] * self.y[n][j]) / divisor

    def gradient_target(self) -> list[Any]:
        found = []
        for share in self.shares:
            for c in range(self.classes):
                factor = self.w[c] * (1 - self.e)
                slope = mpmath.nan if share is None else factor * share[1][c] if factor else mpf(0)
                found.append(self.over(slope))
        return found

    def gradient_weight(self) -> list[Any]:
        divisor, found = self.divisor(), []
        for c in range(self.classes):
            slope, count = mpf(0), 0
            for n, share in enumerate(self.shares):
                if self.kept[n]:
                    count += self.indices and self.labels[n] == c
                    slope += mpmath.nan if share is None else self.y[n][c] * share[1][c] if self.y[n][c] else 0
            if self.reduction == "mean" and not divisor:
                found.append(mpmath.nan)
                continue
            if self.reduction == "mean" and count:
                slope -= count * sum(self.losses, mpf(0)) / divisor
            found.append(slope / divisor)
        return found


SIGNIFICAND = {
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
    "float32": (24, -126, 127),
    "float64": (53, -1022, 1023),
}


def round_mpf(number: Any, name: str) -> float:
    """An mpmath number rounded once to that dtype by mpmath's own rounding to fewer bits."""
    if number == 0 or not mpmath.isfinite(number):
        return float(number)
    bits, lowest, highest = SIGNIFICAND[name]
    exponent = mpmath.mag(number) - 1
    bits = min(bits, bits - (lowest - exponent))
    if bits <= 0:
        smallest = mpf(2) ** (lowest - SIGNIFICAND[name][0] + 1)
        return math.copysign(float(smallest) if abs(number) > smallest / 2 else 0.0, number)
    with mpmath.workprec(bits):
        near = +number
    return math.copysign(math.inf, near) if abs(near) >= mpf(2) ** (highest + 1) else float(near)


def precision(case: Drawn) -> int:
    """Bits that see the smallest logit, the smallest exponential and the smallest factor of the case."""
    spec, finite = case.spec, dtypes.to_float64(case.input)
    finite = finite[np.isfinite(finite)]
    with np.errstate(over="ignore"):
        spread = min(float(finite.max(initial=0.0) - finite.min(initial=0.0)), 800.0)
    factors = [np.array([1.0, spec.label_smoothing]), finite]
    if spec.weight is not None:
        factors.append(dtypes.to_float64(spec.weight))
    if dtypes.is_float(case.target):
        factors.append(dtypes.to_float64(case.target))
    bits = 200 + 1.5 * spread
    for numbers in factors:
        sizes = np.abs(numbers[np.isfinite(numbers) & (numbers != 0)])
        bits += math.log2(sizes.max(initial=1.0)) - math.log2(sizes.min(initial=1.0))
    return int(bits)


def model(case: Drawn, part: str) -> np.ndarray:
    """What the part has the dtype of."""
    found = {"gradient_target": case.target, "gradient_weight": case.spec.weight}.get(part, case.input)
    assert found is not None
    return found


def parts(case: Drawn) -> list[str]:
    """The parts that the case has."""
    names = ["value", "gradient"]
    names += ["gradient_target"] if dtypes.is_float(case.target) else []
    return [*names, *(["gradient_weight"] if case.spec.weight is not None else [])]


def expected(case: Drawn, parts: list[str]) -> dict[str, list[float]]:
    """Rounded at two precisions that must agree; what lies below them is a cancelled 0 or the noise on a tie."""
    results: list[dict[str, list[float]]] = []
    for bits in (precision(case), precision(case) + 150):
        with mpmath.workprec(bits + 150):
            straight = Straight(case.spec, case.input, case.target)
            results.append({})
            for part in parts:
                numbers = [mpf(0) if abs(v) < mpf(2) ** -bits else v for v in getattr(straight, part)()]
                with mpmath.workprec(bits):
                    numbers = [+v for v in numbers]  # a rational tie is one again
                name = dtypes.name(model(case, part))
                results[-1][part] = [round_mpf(v, name) for v in numbers]
    for part in parts:
        agree = np.array_equal(results[0][part], results[1][part], equal_nan=True)
        assert agree, f"the test's own precision is too low for {part}: {case}"
    return results[0]


def compared(case: Drawn, part: str, wanted_numbers: list[float], at: str) -> list[str]:
    """Asserts the part of the case; returns the float64 results that miss correct rounding."""
    like = model(case, part)
    name = dtypes.name(like)
    got = getattr(reference, part)(case.spec, case.input, case.target)
    assert dtypes.name(got) == name
    if part != "value":
        assert got.shape == like.shape
        got = np.moveaxis(got, min(1, got.ndim - 1), -1)
    numbers, wanted = dtypes.to_float64(got).reshape(-1), np.array(wanted_numbers, dtype=float)
    assert not np.signbit(numbers[numbers == 0]).any(), f"{at} {part}: a zero of {numbers} is -0\n{case}"
    same = (numbers == wanted) | (np.isnan(numbers) & np.isnan(wanted))
    if not same.all() and name == "float64":
        with np.errstate(invalid="ignore"):
            near = same | (np.abs(numbers - wanted) <= np.spacing(np.abs(wanted)))
        assert near.all(), f"{at} {part}: {numbers} is not within 1 ulp of {wanted}\n{case}"
        return [f"{at} {part}"]
    assert same.all(), f"{at} {part}: {numbers}, correctly rounded {wanted}\n{case}"
    return []
