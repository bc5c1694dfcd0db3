"""Where a coefficient of 0 meets -inf or nan (O1): what else counts there besides the oracle's answer.

Such a coefficient comes from a class probability or a weight. That class indices leave out the other classes is no
choice: what they don't pick contributes nothing (S13).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xent import dtypes, shapes
from xent.dtypes import Array
from xent.spec import CrossEntropySpec


@dataclass(frozen=True)
class Zeros:
    """Where a call has them: arrays over rows and classes, (R, C), (R,) or (C,).

    Attributes:
        closed: logits of -inf in rows that count, (R, C).
        invalid: rows that count and are nan (S13), (R,).
        coefficient: where a weight or a class probability makes the loss's coefficient 0, (R, C).
        probability: where class probabilities, smoothed, are 0, (R, C).
        absent: where the target puts no weight on a class, class indices included, (R, C).
        factor: where the derivative by a class probability is 0 but for its logit, (C,): by weight or label_smoothing.
        counts: how many rows of each class index add their weight to the mean's divisor, (C,).
        coupled: whether the derivative by weight holds the mean itself: it does with class indices.
    """

    closed: Array
    invalid: Array
    coefficient: Array
    probability: Array
    absent: Array
    factor: Array
    counts: Array
    coupled: bool

    @classmethod
    def of(cls, spec: CrossEntropySpec, input: Array, target: Array) -> Zeros:
        """Of a call that the specification accepts."""
        x = shapes.rows(dtypes.to_float64(input))
        classes, e = x.shape[1], spec.label_smoothing
        weight = np.ones(classes) if spec.weight is None else dtypes.to_float64(spec.weight)
        if dtypes.is_float(target):
            with np.errstate(all="ignore"):
                probability = absent = (1 - e) * shapes.rows(dtypes.to_float64(target)) + e / classes == 0
            selected, picked = np.ones(len(x), dtype=bool), np.zeros(x.shape, dtype=bool)
            coefficient = probability | (weight == 0)
        else:
            indices = target.astype(np.int64).reshape(-1)
            selected = indices != spec.ignore_index
            picked = (np.arange(classes) == indices[:, np.newaxis]) & selected[:, np.newaxis]
            absent = ~((picked | (e > 0)) & selected[:, np.newaxis])
            probability, coefficient = np.zeros(x.shape, dtype=bool), ~absent & (weight == 0)
        return cls(
            closed=np.isneginf(x) & selected[:, np.newaxis],
            invalid=~np.isfinite(x.max(axis=1, initial=-np.inf)) & selected,
            coefficient=coefficient,
            probability=probability,
            absent=absent,
            factor=(weight == 0) | (e == 1),
            counts=picked.sum(axis=0),
            coupled=spec.reduction == "mean" and dtypes.is_integer(target),
        )

    @property
    def rows(self) -> Array:
        """Rows whose loss and gradient may be nan, (R,)."""
        return np.asarray((self.closed & self.coefficient).any(axis=1))

    @property
    def target_or_nan(self) -> Array:
        """Where the gradient by class probabilities may be nan, (R, C)."""
        return np.asarray(self.closed & (self.factor | self.probability))

    @property
    def target_or_zero(self) -> Array:
        """Where it may be 0 for nan: by a factor of 0, in a row that is nan, (R, C)."""
        return np.asarray(self.invalid[:, np.newaxis] & self.factor)

    def weight_or_nan(self, mean: Array) -> Array:
        """Where the gradient by weight may be nan, (C,). `mean` is the exact loss, for where it is coupled."""
        own = (self.closed & (self.probability | self.coefficient)).any(axis=0)
        return np.asarray(own | (self.coupled and bool(self.rows.any() or not np.isfinite(mean).all())))

    @property
    def spared(self) -> Array:
        """Classes on which no row that is nan puts weight: their gradient is nan, or what the other rows give, (C,)."""
        touched = (self.invalid[:, np.newaxis] & ~self.absent).any(axis=0)
        return np.asarray(~touched & ((self.counts == 0) | (not self.coupled)))
