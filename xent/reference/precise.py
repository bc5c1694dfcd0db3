"""Numbers that long double can't round for sure, by mpmath at growing precision.

Every number here is R + T: R rational and exact, T a sum of rational multiples of log1p(s) (losses) or of the smaller
logits' p[j] (gradients), each known to any relative accuracy. Where R alone is a tie between two floats, T's sign,
however small T is, decides. Sums whose T cancels can be rational themselves (negative weights), exact ties even; no
precision would ever show it, so a number within 2^-1,500 of its parts of a rounding boundary is taken for the boundary.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Callable, Iterable, NamedTuple

import numpy as np

from .. import dtypes
from ..errors import MissingPackage
from .problem import Problem
from .rounding import nearest_float

_PRECISIONS = (96, 192, 384, 768, 1536)
_SMALLEST = 6_000  # bits: less than 2^-6000 only counts by its sign; R and the boundaries are coarser by far


class Part(NamedTuple):
    """factor * number(precision), the number positive with a relative error of at most 2^-precision."""

    factor: Fraction
    number: Callable[[int], Any]


class Form(NamedTuple):
    """rational + sum of the parts."""

    rational: Fraction = Fraction(0)
    parts: tuple[Part, ...] = ()

    def times(self, factor: Fraction) -> Form:
        """The form multiplied by an exact factor."""
        if factor == 0:
            return Form()
        return Form(self.rational * factor, tuple(Part(part.factor * factor, part.number) for part in self.parts))


def added(forms: Iterable[Form]) -> Form:
    """The sum of the forms."""
    forms = list(forms)
    rational = sum((form.rational for form in forms), Fraction(0))
    return Form(rational, tuple(part for form in forms for part in form.parts))


class PreciseRow:
    """One row whose results are finite: its logits and its coefficients as fractions."""

    def __init__(self, problem: Problem, row: int) -> None:
        self._problem, self._row = problem, row
        logits = dtypes.to_float64(problem.input[row])
        self._open = [int(c) for c in np.flatnonzero(np.isfinite(logits))]
        self._logits = logits.tolist()
        self._largest = self._logits[int(logits.argmax())]
        self._tops = self._logits.count(self._largest)
        self._smooth = Fraction(problem.smoothing) / problem.classes
        self._keep = 1 - Fraction(problem.smoothing)
        self._exponentials: dict[int, dict[int, Any]] = {}
        self._lowers: dict[int, Any] = {}
        self._coefficients: list[Fraction] = []
        self._sum = Fraction(0)

    def probability(self, c: int) -> Fraction:
        """y' = (1 - e) y + e / C, the smoothed target."""
        if self._problem.labels is not None:
            return self._smooth + self._keep if self._problem.labels[self._row] == c else self._smooth
        assert self._problem.probabilities is not None
        target = float(dtypes.to_float64(self._problem.probabilities[self._row, c : c + 1])[0])
        return self._keep * Fraction(target) + self._smooth

    def _distance(self, c: int) -> Fraction:
        """d[c] of a class whose logit is finite."""
        return Fraction(self._logits[c]) - Fraction(self._largest)

    def _weighted(self) -> list[Fraction]:
        """a[c] for every class; their sum stays in self._sum."""
        if not self._coefficients:
            weight = self._problem.weight
            self._coefficients = [
                self.probability(c) * (1 if weight is None else Fraction(float(weight[c])))
                for c in range(self._problem.classes)
            ]
            self._sum = sum(self._coefficients, Fraction(0))
        return self._coefficients

    def surprise(self, c: int) -> Form:
        """-log p[c] of a class whose logit is finite."""
        if len(self._open) == 1:
            return Form()
        return Form(-self._distance(c), (Part(Fraction(1), self._log),))

    def term(self, c: int) -> Form:
        """y'[c] (-log p[c]): 0 where y' is, on a -inf logit too (O1)."""
        probability = self.probability(c)
        return self.surprise(c).times(probability) if probability else Form()

    def loss(self) -> Form:
        """The row's loss; coefficients on -inf logits are all 0, or it would not be finite."""
        a = self._weighted()
        rational = -sum((a[c] * self._distance(c) for c in self._open if a[c]), Fraction(0))
        if len(self._open) == 1 or self._sum == 0:
            return Form(rational)
        return Form(rational, (Part(self._sum, self._log),))

    def gradient(self, j: int) -> Form:
        """dL/dx[j]."""
        a = self._weighted()[j]
        if self._logits[j] == -np.inf or self._sum == 0:
            return Form(-a)
        if self._logits[j] < self._largest:
            return Form(-a, (Part(self._sum, lambda precision: self._share(j, precision)),))
        # Among k largest logits p is 1/k, less what the smaller ones take.
        share = self._sum / self._tops
        if self._tops == len(self._open):
            return Form(share - a)
        return Form(share - a, (Part(-share, self._lower_share),))

    def _lower(self, precision: int) -> Any:
        """The sum of exp(d) over all but the largest logits; the exponentials stay in self._exponentials."""
        mpmath = _mpmath()
        if precision not in self._lowers:
            smaller = [c for c in self._open if self._logits[c] < self._largest]
            farthest = max(abs(self._largest), abs(min(self._logits[c] for c in self._open)))
            # exp(d) loses as many bits as d has before its point; each addition may lose one unit.
            extra = 42 + len(self._open).bit_length() + int(farthest).bit_length()
            with mpmath.workprec(precision + extra):
                top = mpmath.mpf(self._largest)
                powers = {c: mpmath.exp(mpmath.mpf(self._logits[c]) - top) for c in smaller}
                self._lowers[precision] = sum(powers.values(), mpmath.mpf(0))
            self._exponentials[precision] = powers
        return self._lowers[precision]

    def _log(self, precision: int) -> Any:
        """log1p(s)"""
        mpmath = _mpmath()
        lower = self._lower(precision)
        with mpmath.workprec(precision + 40):
            return mpmath.log1p(self._tops - 1 + lower)

    def _share(self, j: int, precision: int) -> Any:
        """p[j] of a smaller logit"""
        mpmath = _mpmath()
        lower = self._lower(precision)
        with mpmath.workprec(precision + 40):
            return self._exponentials[precision][j] / (self._tops + lower)

    def _lower_share(self, precision: int) -> Any:
        """The sum of p over all but the largest logits."""
        mpmath = _mpmath()
        lower = self._lower(precision)
        with mpmath.workprec(precision + 40):
            return lower / (self._tops + lower)


def _mpmath() -> Any:
    """The package: what needs it is rare, and a training environment may lack it."""
    try:
        import mpmath  # type: ignore[import-untyped]  # mpmath has no type information
    except ImportError:
        raise MissingPackage("mpmath", "A result that long double can't round for sure") from None
    return mpmath


def resolve(form: Form, divisor: Fraction, name: str) -> float:
    """form / divisor rounded once, to nearest even, to the dtype of that name; a 0 divides as IEEE's +0 does."""
    if divisor == 0:
        sign = resolve(form, Fraction(1), "float64")
        return sign * float("inf")  # nan where the sign is 0
    low = high = 0.0
    for precision in _PRECISIONS:
        lower, upper = _interval(form, precision)
        low, high = nearest_float(lower / divisor, name), nearest_float(upper / divisor, name)
        if low == high:
            return low
    if np.isinf(low) or np.isinf(high):
        return low if np.isinf(low) else high
    return nearest_float((Fraction(low) + Fraction(high)) / 2, name)


def _interval(form: Form, precision: int) -> tuple[Fraction, Fraction]:
    """Two fractions around the number."""
    if not form.parts:
        return form.rational, form.rational
    terms = [part.factor * _fraction(part.number(precision)) for part in form.parts]
    middle = form.rational + sum(terms)
    spread = sum(map(abs, terms)) / 2**precision
    return middle - spread, middle + spread


def _fraction(number: Any) -> Fraction:
    """An mpmath number, which is positive, exactly; or 2^-6000 where it is less."""
    mantissa, exponent = int(number.man), int(number.exp)
    if exponent + mantissa.bit_length() < -_SMALLEST:
        return Fraction(1, 2**_SMALLEST)
    return Fraction(mantissa) * Fraction(2) ** exponent
