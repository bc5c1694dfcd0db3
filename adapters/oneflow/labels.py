"""Class indices: whether they are in range, and what each of them selects with which weight."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from xent.adapters.framework import framework
from xent.adapters.portable import checks

flow = framework("oneflow")
ops = flow._C


class Labels(NamedTuple):
    """Class indices made safe to gather with. A column holds one number a row, in the layout's shape.

    Attributes:
        safe: int64 column, each in [0, C).
        factor: column of w[y], 1 without weight; 0 where ignored, nan where the index is out of range and nobody
            looked. None where it is 1 everywhere.
        kept: column of 1, 0 where ignored (nan as above). None where it is 1 everywhere, or nothing is smoothed.
        ignored: bool column. None where no row is.
    """

    safe: Any
    factor: Any
    kept: Any
    ignored: Any


def in_range(column: Any, classes: int, ignore_index: int, shape: Tuple[int, ...]) -> bool:
    """Whether every class index, ignored ones included, is in [0, C). Waits for the device.

    Args:
        column: int64, one class index a row.
        shape: of the logits, as the caller gave them.

    Raises:
        SpecIndexError: S6, where one is neither in range nor ignore_index.
    """
    outside = ops.not_equal(column, ops.clamp(column, 0, classes - 1))
    every = list(range(outside.ndim))
    if not ops.reduce_any(outside, every, False).item():
        return True
    if ops.reduce_any(ops.logical_and(outside, ops.not_equal(column, ignore_index)), every, False).item():
        places = (shape[0], *shape[2:]) if len(shape) > 1 else ()
        checks.refuse_labels(shape, np.asarray(column.numpy()).reshape(places), ignore_index)
    return False


def labels(column: Any, classes: int, ignore_index: int, weight: Any, clean: Optional[bool], dtype: Any) -> Labels:
    """The labels of one call.

    Args:
        column: int64, one class index a row.
        weight: (C) in the dtype of computation, or None.
        clean: whether all are in [0, C); None where nobody looked (``validate=False``, nn.Graph).
        dtype: the dtype of computation.
    """
    if clean and not 0 <= ignore_index < classes:
        return Labels(column, None if weight is None else pick(weight, column), None, None)
    safe = column if clean else ops.clamp(column, 0, classes - 1)
    chosen = ops.not_equal(column, ignore_index)
    ignored = ops.logical_not(chosen)
    kept = chosen.to(dtype)
    if clean is None:
        stray = ops.logical_and(chosen, ops.not_equal(column, safe))
        kept = ops.masked_fill(kept, stray, float("nan"))
    return Labels(safe, kept if weight is None else ops.mul(pick(weight, safe), kept), kept, ignored)


def pick(weight: Any, index: Any) -> Any:
    """The weight of each class index, in the index's shape; each must be in [0, C)."""
    return ops.gather(weight, index.reshape(-1), 0).reshape(*index.shape)
