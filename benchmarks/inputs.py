"""The tensors that are measured, as NumPy arrays. Framework-side: Python 3.8, NumPy only."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

from .plan import LINEAR

_BLOCK = 1000003  # a prime number of random values, repeated: drawing 131 million takes longer than measuring them


class Inputs(NamedTuple):
    """What one loss is called with.

    Attributes:
        differentiable: the logits (N, C, ...), or a layer's input (N, H) and its weight (C, H); float32.
        target: class indices (int64), or class probabilities (float32).
        weight: (C), float32, or None.
        arguments: ignore_index and label_smoothing where they are not the defaults.
    """

    differentiable: Tuple[Any, ...]
    target: Any
    weight: Any
    arguments: Dict[str, Any]


def make(shape: Tuple[int, ...], variant: str) -> Inputs:
    """The same inputs each time, for a shape from `plan.dimensions` and one of its variants."""
    random = np.random.RandomState(20261122)
    if variant == LINEAR:
        rows, width, classes = shape
        layer = _normal(random, (classes, width), width**-0.5)
        target = random.randint(0, classes, rows).astype(np.int64)
        return Inputs((_normal(random, (rows, width), 3.0), layer), target, None, {})
    classes = shape[1] if len(shape) > 1 else shape[0]
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    logits = (_normal(random, shape, 3.0),)
    if variant == "probabilities":
        axis = 1 if len(shape) > 1 else 0
        shares = np.resize(random.random_sample(min(_BLOCK, int(np.prod(shape)))).astype(np.float32), shape)
        np.divide(shares, shares.sum(axis=axis, keepdims=True), out=shares)
        return Inputs(logits, shares, None, {})
    target = np.asarray(random.randint(0, classes, places), dtype=np.int64)
    if variant == "smoothing":
        return Inputs(logits, target, None, {"label_smoothing": 0.1})
    if variant == "weight+ignore":
        target[random.random_sample(places) < 0.1] = -100
        target.flat[0] = 0  # never all ignored
        weight = (random.random_sample(classes) + 0.5).astype(np.float32)
        return Inputs(logits, target, weight, {"ignore_index": -100})
    return Inputs(logits, target, None, {})


def _normal(random: Any, shape: Tuple[int, ...], scale: float) -> Any:
    block = random.standard_normal(min(_BLOCK, int(np.prod(shape)))) * scale
    return np.resize(block.astype(np.float32), shape)
