"""The memory order of an array, so that a framework can be given a tensor that is as non-contiguous as it."""

from __future__ import annotations

from typing import Tuple

import numpy as np

from . import dtypes


def layout(array: dtypes.Array) -> Tuple[dtypes.Array, Tuple[int, ...]]:
    """A C-contiguous base and the axes with which ``base.transpose(axes)`` equals the array, in its memory order.

    Frameworks that copy a NumPy array make it contiguous; building the tensor from `base` and permuting it inside the
    framework hands over a tensor that is as non-contiguous as the array.
    """
    order = sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), axis))
    base = array.transpose(order)
    base = np.array(base, order="C", copy=True) if not base.flags.c_contiguous else base
    axes = sorted(range(array.ndim), key=order.__getitem__)
    return base, tuple(axes)
