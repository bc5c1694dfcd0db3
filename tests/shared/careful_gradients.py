"""Careful implementations of the gradients by target and weight, and hostile calls for them.

Each computes in float32 (float64 for an input of float64): log p of (R, C), and sums over rows.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np

from xent import dtypes
from xent.spec import CrossEntropySpec

Array = Any


def _shifted(x: Array) -> Array:
    top = x.max(axis=1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(axis=1, keepdims=True))


def _online(x: Array) -> Array:
    """One pass over the classes, the sum rescaled where a larger logit comes."""
    top, total = np.full(len(x), -np.inf, x.dtype), np.zeros(len(x), x.dtype)
    for column in x.T:
        higher = np.maximum(top, column)
        old = np.where(np.isneginf(top), x.dtype.type(0), np.exp(top - higher))
        total = total * old + np.where(np.isneginf(column), x.dtype.type(0), np.exp(column - higher))
        top = higher
    return x - top[:, None] - np.log(total)[:, None]


def _chunked(x: Array) -> Array:
    """Each chunk of classes with its own maximum and sum, put together after."""
    chunks = [x[:, start : start + 7] for start in range(0, x.shape[1], 7)]
    tops = np.stack([np.maximum(chunk.max(axis=1), np.finfo(x.dtype).min) for chunk in chunks], axis=1)
    sums = np.stack(
        [np.exp(chunk - top[:, None]).sum(axis=1) for chunk, top in zip(chunks, tops.T, strict=True)], axis=1
    )
    top = tops.max(axis=1, keepdims=True)
    return x - top - np.log((sums * np.exp(tops - top)).sum(axis=1, keepdims=True))


def _sequential(terms: Array) -> Array:
    return np.cumsum(terms, axis=0, dtype=terms.dtype)[-1] if len(terms) else terms.sum(axis=0)


def _pairwise(terms: Array) -> Array:
    while len(terms) > 1:
        half = (len(terms) + 1) // 2
        folded = terms[:half].copy()
        folded[: len(terms) - half] += terms[half:]
        terms = folded
    return terms.sum(axis=0)


LOG_SOFTMAX: Dict[str, Callable[[Array], Array]] = {"shifted": _shifted, "online": _online, "chunked": _chunked}
SUMS: Dict[str, Callable[[Array], Array]] = {"sequential": _sequential, "pairwise": _pairwise}


class Call:
    """One call, with class probabilities or class indices, laid out for the implementations."""

    def __init__(self, spec: CrossEntropySpec, x: Array, target: Array) -> None:
        self.spec, self.x, self.target = spec, x, target
        assert spec.weight is not None
        self.dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)

    def computed(self, log_softmax: str, sums: str, wide: bool, apart: bool) -> Tuple[Array, Array]:
        """Gradients by target (class indices: None) and weight.

        Args:
            wide: everything in float64, rounded once.
            apart: the mean's divisor is differentiated for itself, as automatic differentiation does; or else the mean
                is taken off each row's loss first.
        """
        f = np.dtype(np.float64) if wide else self.dtype
        total = SUMS[sums]
        x = dtypes.to_float64(self.x).astype(f)
        weight = dtypes.to_float64(self.spec.weight).astype(f)
        e, classes = f.type(self.spec.label_smoothing), f.type(x.shape[1])
        kept = np.ones(len(x), bool)
        with np.errstate(all="ignore"):
            minus_log = -LOG_SOFTMAX[log_softmax](x)
            indices = dtypes.is_integer(self.target)
            if indices:
                kept = self.target != self.spec.ignore_index
                picked = (self.target[:, None] == np.arange(x.shape[1])) & kept[:, None]
                y = picked.astype(f)
            else:
                y = dtypes.to_float64(self.target).astype(f)
            y = np.where(kept[:, None], (f.type(1) - e) * y + e / classes, f.type(0)) if e else y
            terms = np.where(y == 0, f.type(0), y * minus_log)
            k = f.type(1)
            if self.spec.reduction == "mean":
                k = f.type(1) / (total(weight[self.target[kept]]) if indices else f.type(len(x)))
            by_target = np.where(weight * (1 - e) == 0, f.type(0), k * (weight * ((f.type(1) - e) * minus_log)))
            if self.spec.reduction == "mean" and indices:
                each = np.where(terms == 0, f.type(0), weight * terms)
                whole = total(each.sum(axis=1, dtype=f))
                count = picked.sum(axis=0).astype(f)
                if apart:
                    by_weight = total(k * terms) - np.where(count == 0, f.type(0), count * (whole * (k * k)))
                else:
                    by_weight = k * total(terms - np.where(picked, whole * k, f.type(0)))
            else:
                by_weight = total(k * terms)
        return None if indices else by_target, by_weight


def draws(regime: str, seed: int) -> Iterator[Call]:
    rng = np.random.default_rng(seed)
    for number in range(60):
        n, c = int(rng.choice([1, 3, 20])), int(rng.choice([1, 2, 3, 10, 60]))
        dtype = rng.choice(["float64", "float16", "bfloat16"]) if regime == "dtypes" else "float32"
        x = rng.standard_normal((n, c)) * 3
        weight = rng.uniform(0.1, 2, c)
        if regime == "large":
            x = x * 100 + rng.choice([-1e4, 1e4])
        elif regime == "huge":
            x = x * 1e30
        elif regime == "sure":
            x[np.arange(n), rng.integers(0, c, n)] = rng.choice([20.0, 60.0])
        elif regime == "equal":
            x[:] = rng.standard_normal()
        elif regime == "closed":
            x[rng.random((n, c)) < 0.3] = -np.inf
            x[:, 0] = 1
        elif regime == "signs":
            weight = rng.choice([0.0, 1, -1, 0.3, -0.7, 2], c)
        elif regime == "many classes":
            x = rng.standard_normal((4, 1500)) * rng.choice([1, 10])
            weight = rng.uniform(0.1, 2, 1500)
        elif regime == "many rows":
            x = rng.standard_normal((2500, 3))
            weight = rng.uniform(0.1, 2, 3)
        if number >= 12 and regime.startswith("many"):
            return
        n, c = x.shape
        target: Array = rng.integers(0, c, n)
        target[rng.random(n) < 0.2] = -100
        if number % 2:
            target = dtypes.from_float64(rng.dirichlet(np.ones(c), n) * rng.choice([1.0, 1, -2], (n, 1)), dtype)
        smoothing = float(rng.choice([0.0, 0.0, 0.1, 1.0]))
        reduction = str(rng.choice(["none", "mean", "mean", "sum"]))
        spec = CrossEntropySpec(dtypes.from_float64(weight, dtype), -100, reduction, smoothing)
        yield Call(spec, dtypes.from_float64(x, dtype), target)


REGIMES = ("bland", "large", "huge", "sure", "equal", "closed", "signs", "many classes", "many rows", "dtypes")
