"""The oracle against a second one: the documents' formulas, written plainly in mpmath, at two precisions that agree.

2,500 random and hostile cases. float16, bfloat16 and float32 must be correctly rounded in every one of their 2,100;
float64 within 1 ulp, and the cases that miss correct rounding are those of FLOAT64_MISSES.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from xent import dtypes, reference
from xent.spec import CrossEntropySpec

CASES_A_GROUP = 100
DTYPES = 7 * ("float16", "bfloat16", "float32") + 4 * ("float64",)  # of each group of cases
FLOAT64_MISSES: tuple[str, ...] = ()  # "group/case part": float64 results that are within 1 ulp, not correctly rounded


class Drawn(NamedTuple):
    spec: CrossEntropySpec
    input: np.ndarray
    target: np.ndarray


def draw_logits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    kind = rng.integers(12)
    x = rng.normal(size=shape) * rng.choice([1e-3, 1, 1, 10, 100])
    if kind == 0:
        x = np.full(shape, rng.normal())
    elif kind == 1:  # sure predictions
        x = np.where(rng.random(shape) < 0.4, rng.uniform(10, 300), x)
    elif kind == 2:
        x = np.where(rng.random(shape) < 0.3, -np.inf, x)
    elif kind == 3:
        x = np.where(rng.random(shape) < 0.1, rng.choice([np.nan, np.inf, -np.inf]), x)
    elif kind == 4:  # as large as the dtypes go
        x = rng.choice([3e38, -3e38, 1e38, 65504.0, -65504.0, 1e4, 0.0], size=shape)
    elif kind == 5:
        x = rng.normal() + rng.integers(0, 3, shape) * 2.0 ** -rng.integers(5, 60)
    elif kind == 6:
        x = rng.choice([0.0, -0.0, 1e-45, -6e-8, 5e-324, 1e-300], size=shape)
    elif kind == 7:  # whole numbers: distances that tie in the low-precision dtypes
        x = rng.integers(-300, 300, shape) * rng.choice([0.5, 1.0, 2.0])
    return x


def draw_weight(rng: np.random.Generator, classes: int, name: str) -> np.ndarray | None:
    kind = rng.integers(8)
    if kind < 3:
        return None
    w = rng.uniform(0.1, 3, classes)
    if kind == 4:
        w = rng.normal(size=classes)
    elif kind == 5:
        w *= rng.random(classes) < 0.5
    elif kind == 6:
        w = rng.choice([1.0, -1.0, 0.5, 2.0], size=classes)
    return dtypes.from_float64(w, str(rng.choice([name, name, *dtypes.FLOATS])))


def draw_probabilities(rng: np.random.Generator, x: np.ndarray, axis: int) -> np.ndarray:
    kind = rng.integers(7)
    if kind == 0:
        return rng.normal(size=x.shape)
    if kind == 1:
        return np.full(x.shape, 1 / x.shape[axis])
    if kind == 2:  # one-hot
        return np.moveaxis(np.eye(x.shape[axis])[rng.integers(0, x.shape[axis], np.delete(x.shape, axis))], -1, axis)
    if kind == 3:  # the softmax itself, where the gradient cancels
        e = np.exp(np.nan_to_num(x - x.max(axis=axis, keepdims=True), nan=0.0, neginf=-1e4, posinf=0))
        return np.asarray(e / e.sum(axis=axis, keepdims=True))
    if kind == 4:
        return np.asarray(rng.random(x.shape) * (rng.random(x.shape) < 0.5))
    if kind == 5:
        return rng.choice([1.0, -1.0, 0.0, 0.5], size=x.shape)
    e = rng.random(x.shape)
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def draw(rng: np.random.Generator, name: str) -> Drawn:
    classes = int(rng.choice([1, 2, 3, 4, 5, 9]))
    rest = [(), (int(rng.integers(0, 4)),), (3,), (2, 2), (1, 2, 2)][rng.integers(5)]
    shape = (classes,) if not rest else (rest[0], classes, *rest[1:])
    axis = 0 if not rest else 1
    x = dtypes.from_float64(draw_logits(rng, shape), name)
    if rng.random() < 0.2 and x.ndim > 1:  # not contiguous
        x = x.swapaxes(0, -1).copy().swapaxes(0, -1)
    target: np.ndarray
    ignore = int(rng.choice([-100, -100, -1, 0, 255]))
    if rng.random() < 0.55:
        target = rng.integers(0, classes, rest)
        if rng.random() < 0.5:
            target = np.where(rng.random(rest) < rng.choice([0.3, 1.0]), ignore, target)
        target = target.astype(rng.choice(["int64", "int32", "int16"]))
    else:
        ignore = -100
        target = dtypes.from_float64(draw_probabilities(rng, dtypes.to_float64(x), axis), name)
    weight = draw_weight(rng, classes, name)
    smoothing = float(rng.choice([0.0, 0.0, 0.1, 1.0, 1e-9, 0.5]))
    return Drawn(CrossEntropySpec(weight, ignore, str(rng.choice(["none", "mean", "sum"])), smoothing), x, target)


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


def precision(x: np.ndarray) -> int:
    """Bits that see both the smallest logit and the smallest exponential of the case."""
    finite = dtypes.to_float64(x)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 200
    with np.errstate(over="ignore"):
        spread = min(float(finite.max() - finite.min()), 800.0)
    smallest = np.abs(finite[finite != 0]).min(initial=1.0)
    return int(200 + 1.5 * spread - math.log2(smallest) + max(0.0, math.log2(np.abs(finite).max(initial=1.0))))


def expected(case: Drawn, name: str, parts: list[str]) -> dict[str, list[float]]:
    """Rounded at two precisions that must agree; what lies below them is a cancelled 0 or the noise on a tie."""
    results: list[dict[str, list[float]]] = []
    for bits in (precision(case.input), precision(case.input) + 150):
        with mpmath.workprec(bits + 150):
            straight = Straight(case.spec, case.input, case.target)
            results.append({})
            for part in parts:
                numbers = [mpf(0) if abs(v) < mpf(2) ** -bits else v for v in getattr(straight, part)()]
                with mpmath.workprec(bits):
                    numbers = [+v for v in numbers]  # a rational tie is one again
                model = case.spec.weight if part == "gradient_weight" else None
                results[-1][part] = [round_mpf(v, name if model is None else dtypes.name(model)) for v in numbers]
    for part in parts:
        agree = np.array_equal(results[0][part], results[1][part], equal_nan=True)
        assert agree, f"the test's own precision is too low for {part}: {case}"
    return results[0]


def compared(case: Drawn, part: str, wanted_numbers: list[float], at: str) -> list[str]:
    """Asserts the part of the case; returns the float64 results that miss correct rounding."""
    model = case.spec.weight if part == "gradient_weight" else case.input
    assert model is not None
    name = dtypes.name(model)
    got = getattr(reference, part)(case.spec, case.input, case.target)
    assert dtypes.name(got) == name
    if part in ("gradient", "gradient_target"):
        assert got.shape == case.input.shape
        got = np.moveaxis(got, min(1, got.ndim - 1), -1)
    numbers, wanted = dtypes.to_float64(got).reshape(-1), np.array(wanted_numbers, dtype=float)
    same = (numbers == wanted) | (np.isnan(numbers) & np.isnan(wanted))
    if not same.all() and name == "float64":
        near = same | (np.abs(numbers - wanted) <= np.spacing(np.abs(wanted)))
        assert near.all(), f"{at} {part}: {numbers} is not within 1 ulp of {wanted}\n{case}"
        return [f"{at} {part}"]
    assert same.all(), f"{at} {part}: {numbers}, correctly rounded {wanted}\n{case}"
    return []


@pytest.mark.parametrize("group", range(len(DTYPES)))
def test_every_result_is_correctly_rounded(group: int) -> None:
    name = DTYPES[group]
    missed = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probabilities outside [0, 1] (S7)
        for number in range(CASES_A_GROUP):
            rng = np.random.default_rng([group, number])
            case = draw(rng, name)
            parts = ["value", "gradient"]
            if number % 2 == 0 and dtypes.is_float(case.target):
                parts.append("gradient_target")
            if number % 2 == 0 and case.spec.weight is not None:
                parts.append("gradient_weight")
            wanted = expected(case, name, parts)
            for part in parts:
                missed += compared(case, part, wanted[part], f"{group}/{number}")
    print(f"group {group} ({name}): {CASES_A_GROUP} cases, float64 results not correctly rounded: {missed or 'none'}")
    assert tuple(missed) == tuple(miss for miss in FLOAT64_MISSES if miss.startswith(f"{group}/"))
