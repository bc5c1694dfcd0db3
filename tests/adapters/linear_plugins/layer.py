"""A case for `linear_cross_entropy`: logits that a linear layer gives when its weight is the identity."""

from __future__ import annotations

import numpy as np

from xent import dtypes
from xent.errors import Unavailable

MOST_CLASSES = 4096  # the identity has their square


def inputs(name, input, target):
    """input (..., C), linear_weight (C, C) and target as the layer takes it, classes last."""
    classes = input.shape[min(1, input.ndim - 1)] if input.ndim else 0
    if classes > MOST_CLASSES:
        raise Unavailable(name, "an identity of that size is too large", "")
    if dtypes.is_float(input) and not np.isfinite(dtypes.to_float64(input)).all():
        raise Unavailable(name, "a logit that isn't finite is nan after the product with the identity's zeros", "")
    if dtypes.is_float(target) and target.shape == input.shape:
        target = classes_last(target)
    identity = np.eye(classes)
    identity = dtypes.from_float64(identity, dtypes.name(input)) if dtypes.is_float(input) else identity
    return classes_last(input), identity, target


def classes_last(array):
    """(N, C, d1, ..., dK) as (N, d1, ..., dK, C)."""
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def classes_second(array):
    """The inverse."""
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array
