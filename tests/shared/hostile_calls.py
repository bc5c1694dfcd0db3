"""Calls that hypothesis draws: logits, weights and probabilities from few values, so that they meet in every way."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from reference_cases import INF, NAN
from second_oracle import Drawn

from xent import dtypes
from xent.spec import CrossEntropySpec

LOGITS = st.sampled_from([-INF, -INF, 0.0, -0.0, 1.0, 0.5, -3.0, 40.0, 1e4, 0.1]) | st.floats(-20, 20, width=16)
BAD_LOGITS = st.sampled_from([NAN, INF, -INF, 0.0])
WEIGHTS = st.sampled_from([0.0, 0.0, -0.0, 1.0, -1.0, 1.0, -2.0, 0.5, 2.0**-14, 3.0])
PROBABILITIES = st.sampled_from([0.0, 0.0, -0.0, 1.0, 0.5, 0.25, -1.0, 2.0])
BAD_PROBABILITIES = st.sampled_from([NAN, INF, -INF, 0.0, 1.0])
SMOOTHINGS = st.sampled_from([0.0, 0.0, 1e-300, 1e-9, 0.1, 0.75, 1.0])


@st.composite
def calls(draw: st.DrawFn) -> Drawn:
    """One call of any dtypes: up to three rows of up to four classes."""
    names = st.sampled_from(dtypes.FLOATS)
    name, classes, count = draw(names), draw(st.integers(1, 4)), draw(st.integers(0, 3))

    def table(good: st.SearchStrategy[float], bad: st.SearchStrategy[float]) -> np.ndarray:
        rows = [draw(st.sampled_from([good, good, good, good, bad])) for _ in range(count)]
        return np.array([[draw(row) for _ in range(classes)] for row in rows]).reshape(count, classes)

    x = table(LOGITS, BAD_LOGITS)
    target: np.ndarray
    if draw(st.booleans()):
        labels = st.sampled_from([-100, *range(classes)])
        target = np.array([draw(labels) for _ in range(count)], dtype=np.int64)
    else:
        target = dtypes.from_float64(table(PROBABILITIES, BAD_PROBABILITIES), draw(names))
    weight = draw(st.none() | st.lists(WEIGHTS, min_size=classes, max_size=classes))
    spec = CrossEntropySpec(
        None if weight is None else dtypes.from_float64(weight, draw(names)),
        reduction=draw(st.sampled_from(["none", "mean", "sum"])),
        label_smoothing=draw(SMOOTHINGS),
    )
    return Drawn(spec, dtypes.from_float64(x, name), target)
