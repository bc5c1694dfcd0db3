"""Inputs and comparisons for the tests of the oracle."""

from __future__ import annotations

import math

import numpy as np

from xent import dtypes

INF, NAN = math.inf, math.nan

STRUCTURED = np.dtype([("bfloat16", "<u2")])


def f32(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def of(name: str, values: object) -> np.ndarray:
    return dtypes.from_float64(np.asarray(values, dtype=np.float64), name)


def same(got: np.ndarray, wanted: object) -> bool:
    numbers, expected = dtypes.to_float64(got), np.asarray(wanted, dtype=np.float64)
    return numbers.shape == expected.shape and np.array_equal(numbers, expected, equal_nan=True)


X = f32([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0]])
Y = np.array([0, 2, 1])
LOGP = X.astype(float) - np.log(np.exp(X.astype(float)).sum(axis=1, keepdims=True))
W = f32([0.5, 2.0, 3.0])
