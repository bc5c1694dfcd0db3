"""Loss and derivatives of some rows in long double, each with a bound of its error. Classes come first: (C, rows).

With m the largest logit of a row at class k, d = x - m and s = sum of exp(d) over the classes other than k,

    -log p[c] = log1p(s) - d[c]                              both parts >= 0: no cancellation, also where p[c] is near 1
    dL/dx[j]  = p[j] (S - a[j]) - a[j] (1 - p[j])            S = sum of a

where a[c] is the coefficient of -log p[c] in the loss (S9 to S11), and 1 - p[k] is s / (1 + s). exp(d) carries the
error |d| UNIT of its argument; over the sum of exp(d) these come to at most (log C + |log s|) UNIT, an entropy bound.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import Array
from .bounds import FUNCTION, SLACK, TINY, UNIT, Approximation, Compensated, compensated, depth, pairwise
from .problem import Problem

_UNIT = np.longdouble(UNIT)
_FARTHEST = np.longdouble(12_000)  # exp(-12,000) is 0 in every long double


class Softmax(NamedTuple):
    """What the losses of a chunk of rows need; (C, rows) or (rows,).

    Attributes:
        distance: d, -inf where the logit is.
        closed: where the logit is -inf: a class of probability 0.
        exponential: exp(d), exactly 1 at the top.
        top: k.
        rest, rest_error: s.
        log, log_error: log1p(s), which is -log p[k].
        ignored: rows that the target ignores.
        invalid: rows that are nan (S13).
    """

    distance: Array
    closed: Array
    exponential: Array
    top: Array
    rest: Array
    rest_error: Array
    log: Array
    log_error: Array
    ignored: Array
    invalid: Array


class Coefficients(NamedTuple):
    """a of a chunk.

    Attributes:
        value: a, (C, rows).
        scale: sum of the magnitudes of a's parts, (C, rows).
        rough: a's error is at most rough * UNIT * scale.
        sum: S, (rows,).
        odd: rows where a is nan or infinite, (rows,): their results are what IEEE arithmetic gives.
    """

    value: Array
    scale: Array
    rough: int
    sum: Compensated
    odd: Array


def softmax(problem: Problem, rows: slice) -> Softmax:
    """The softmax of these rows. Rows that don't count (ignored, nan) are worked on as zeros."""
    logits = dtypes.to_float64(problem.input[rows]).T.astype(np.longdouble, order="C")
    largest = logits.max(axis=0)
    ignored = problem.ignored[rows]
    invalid = ~np.isfinite(largest) & ~ignored
    unused = ignored | invalid
    if unused.any():
        logits[:, unused] = 0
        largest[unused] = 0
    classes, count = logits.shape
    columns = np.arange(count)
    with np.errstate(all="ignore"):
        closed = np.isneginf(logits)
        top = logits.argmax(axis=0)
        distance = logits - largest
        exponential = np.exp(distance)
        exponential[top, columns] = 0
        rest = pairwise(exponential)
        exponential[top, columns] = 1
        spread = math.log(classes) + np.abs(np.log(np.where(rest > 0, rest, 1)))
        relative = SLACK * _UNIT * (spread + FUNCTION + depth(classes) + 2)
        underflow = np.where(closed.sum(axis=0) == classes - 1, 0, classes * FUNCTION * TINY)
        log = np.log1p(rest)
    return Softmax(
        distance, closed, exponential, top, rest, rest * relative + underflow, log,
        log * (relative + FUNCTION * _UNIT) + underflow, ignored, invalid,
    )  # fmt: skip


def coefficients(problem: Problem, rows: slice, weight: Array | None) -> Coefficients:
    """a = w ((1 - e) y + e / C) with this weight (None for ones), 0 in ignored rows."""
    classes, smoothing = problem.classes, problem.smoothing
    factors = np.ones(classes, dtype=np.longdouble) if weight is None else weight.astype(np.longdouble)
    smooth = np.longdouble(smoothing) / classes
    keep = 1 - np.longdouble(smoothing)
    with np.errstate(all="ignore"):
        if problem.labels is not None:
            labels, ignored = problem.labels[rows], problem.ignored[rows]
            value = np.zeros((classes, len(labels)), dtype=np.longdouble)
            if smoothing:
                value += (smooth * factors)[:, None]
            value[labels, np.arange(len(labels))] += keep * factors[labels]
            value[:, ignored] = 0
            scale = np.abs(value)
            sums, odd = _index_sum(problem, factors, labels, ignored), np.zeros(len(labels), dtype=bool)
            return Coefficients(value, scale, 4 if smoothing else 0, sums, odd)
        assert problem.probabilities is not None
        target = dtypes.to_float64(problem.probabilities[rows]).T.astype(np.longdouble, order="C")
        scale = np.abs(factors)[:, None] * (np.abs(keep * target) + smooth)
        value = factors[:, None] * (keep * target + smooth)
        plain = smoothing == 0 and (weight is None or _exact_products(problem))
        rough = 0 if plain else 6
        sums = compensated(value)
        if rough:
            sums = sums._replace(error=sums.error + rough * _UNIT * pairwise(scale))
        return Coefficients(value, scale, rough, sums, np.asarray(~np.isfinite(value).all(axis=0)))


def _index_sum(problem: Problem, factors: Array, labels: Array, ignored: Array) -> Compensated:
    """S = (1 - e) w[y] + (e / C) sum of w: exact without smoothing."""
    zero = np.zeros(len(labels), dtype=np.longdouble)
    high = np.where(ignored, 0, factors[labels])
    if problem.smoothing == 0:
        return Compensated(high, zero, zero)
    keep, smooth = 1 - np.longdouble(problem.smoothing), np.longdouble(problem.smoothing) / problem.classes
    magnitude = np.abs(keep * factors[labels]) + smooth * pairwise(np.abs(factors))
    high = np.where(ignored, 0, keep * factors[labels] + smooth * pairwise(factors))
    return Compensated(high, zero, np.where(ignored, 0, (depth(problem.classes) + 6) * _UNIT * magnitude))


def _exact_products(problem: Problem) -> bool:
    """Whether weight times probability fits long double without rounding: all but float64, then (24 + 24 bits)."""
    assert problem.probabilities is not None
    assert problem.weight is not None
    narrow = np.array_equal(problem.weight, problem.weight.astype(np.float32))
    return narrow and dtypes.name(problem.probabilities) != "float64"


def surprises(chunk: Softmax) -> Approximation:
    """-log p, (C, rows): inf (exactly) where the logit is -inf."""
    with np.errstate(all="ignore"):
        value = chunk.log - chunk.distance
        error = np.where(np.isfinite(value), chunk.log_error + 3 * _UNIT * value, np.longdouble(np.inf))
    return Approximation(value, np.where(chunk.closed, 0, error))


def weighed(chunk: Softmax, a: Coefficients) -> Approximation:
    """a (-log p), (C, rows). A zero coefficient gives 0, also on a -inf logit (O1)."""
    with np.errstate(all="ignore"):
        minus_log = surprises(chunk)
        value = np.where(a.value == 0, 0, a.value * minus_log.value)
        error = a.scale * (minus_log.error + (a.rough + 2) * _UNIT * np.where(chunk.closed, 0, minus_log.value))
        value[:, chunk.invalid] = np.nan
        demanded = ((a.value != 0) & chunk.closed) | chunk.invalid | ~np.isfinite(a.value)
        error = np.where(np.isfinite(value) & np.isfinite(error), error, np.longdouble(np.inf))
        demanded |= a.scale == 0
    return Approximation(value, np.where(demanded, np.longdouble(0), error))


def gradients(chunk: Softmax, a: Coefficients) -> Approximation:
    """dL/dx of each row's loss, (C, rows): the limit where a logit is -inf; nan in nan rows; 0 in ignored rows."""
    columns = np.arange(len(chunk.top))
    with np.errstate(all="ignore"):
        normaliser = 1 + chunk.rest
        away = normaliser - chunk.exponential  # (1 - p) (1 + s)
        away[chunk.top, columns] = chunk.rest
        away_error = np.broadcast_to(2 * chunk.rest_error + 2 * _UNIT * normaliser, away.shape).copy()
        away_error[chunk.top, columns] = chunk.rest_error
        difference = a.sum.high - a.value
        others = difference + a.sum.low  # S - a[j]
        # 0 where nothing rounds: at a sure prediction S - a[k] is exactly 0, and a[k] (1 - p[k]) is all that is left.
        others_error = _UNIT * (np.abs(difference) + np.abs(others)) + a.sum.error + a.rough * _UNIT * a.scale
        towards = chunk.exponential * others
        if a.odd.any():  # no exponential is 0 but that of a closed class, however far below long double it lies
            others = np.where(np.isfinite(difference), others, difference)  # inf has no low part
            towards = np.where(np.isfinite(others) | chunk.closed, chunk.exponential * others, others)
        value = (towards - a.value * away) / normaliser
        drift = np.minimum(-chunk.distance, _FARTHEST) + FUNCTION + 4
        error = np.abs(towards) * _UNIT * drift + chunk.exponential * others_error + FUNCTION * TINY * np.abs(others)
        error += a.scale * (away_error + _UNIT * (a.rough + 4) * away)
        error += np.abs(value) * (chunk.rest_error + 4 * _UNIT * normaliser)
        error = SLACK * error / normaliser
        error = np.where(np.isfinite(value) & np.isfinite(error), error, np.longdouble(np.inf))
        value[:, chunk.invalid] = np.nan
        value[:, chunk.ignored] = 0
    return Approximation(value, np.where(chunk.invalid | chunk.ignored | a.odd, np.longdouble(0), error))
