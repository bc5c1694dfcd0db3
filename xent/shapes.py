"""What the shapes of input and target are to each other, and where the classes lie."""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np

from .dtypes import Array

Shape = Tuple[int, ...]


def class_axis(rank: int) -> int:
    """Of an input of that rank: the first axis where it is unbatched, else the second."""
    return min(1, rank - 1)


def places(input: Sequence[int]) -> Shape:
    """The shape of an index target, and of the losses before they are reduced: that of input without its classes."""
    axis = class_axis(len(input))
    return (*input[:axis], *input[axis + 1 :])


def rows(array: Array) -> Array:
    """An array of input's shape as (rows, C): a row for each loss, in the order of the target. A copy where it must."""
    axis = class_axis(array.ndim)
    classes = array.shape[axis]
    last = np.moveaxis(array, axis, -1)
    return last.reshape(int(np.prod(last.shape[:-1], dtype=np.int64)), classes)


def from_rows(array: Array, input: Sequence[int]) -> Array:
    """The inverse of `rows`, for an input of that shape."""
    axis = class_axis(len(input))
    return np.moveaxis(array.reshape((*places(input), input[axis])), -1, axis)
