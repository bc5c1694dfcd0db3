"""What a refused call probably meant: a clause for the refusal's message, "" where nothing is likely.

Rules decide and hints never do: xent.spec asks here only once it refuses. Shapes and dtypes are enough for most hints,
so the portable losses, which check these without any value, give the same ones.
"""

from __future__ import annotations

from .arguments import conversion, ignore_index, label_smoothing, reduction, weight_entry, weight_kind
from .class_indices import labels
from .shapes import (
    index_shape,
    input_dtype,
    linear_target_shape,
    linear_weight_shape,
    places,
    probability_shape,
    target_dtype,
    weight_dtype,
    weight_length,
    weight_shape,
)

__all__ = [
    "conversion", "ignore_index", "index_shape", "input_dtype", "label_smoothing", "labels", "linear_target_shape",
    "linear_weight_shape", "places", "probability_shape", "reduction", "target_dtype", "weight_dtype", "weight_entry",
    "weight_kind", "weight_length", "weight_shape",
]  # fmt: skip
