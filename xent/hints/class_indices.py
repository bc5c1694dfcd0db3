"""Hints from class indices that are out of range."""

from __future__ import annotations

import numpy as np

from .. import dtypes

_IGNORED = (-100, -1, 255, 65535)  # labels that data sets and libraries give to what doesn't count


def labels(target: dtypes.Array, bad: dtypes.Array, ignored: dtypes.Array, classes: int, ignore_index: int) -> str:
    """For class indices out of range.

    Args:
        target: all of them.
        bad, ignored: of target's shape: which are out of range and not ignored (some are), and which are ignored.
    """
    if classes == 1:
        return "input has one logit a row: two classes need two, or a binary cross-entropy loss"
    strange = [int(label) for label in np.unique(target[bad])]
    wrapped = ignore_index % 2 ** (8 * target.dtype.itemsize) if target.dtype.kind == "u" else None
    marks = [label for label in strange if label in _IGNORED or label < 0 or label == wrapped]
    counted = np.unique(target[~ignored & ~np.isin(target, [label for label in marks if label != classes])])
    found = []
    if len(marks) == 1 and set(strange) <= {marks[0], classes}:
        found.append(f"is {marks[0]} meant to be ignored? ignore_index={marks[0]}")
        if marks[0] == wrapped:
            found.append(f"{ignore_index} is {wrapped} in {target.dtype.name}")
        elif classes == 2 and marks[0] == 255 and counted.tolist() == [0]:
            found.append("or does 255 stand for class 1?")
        elif classes == 2 and marks[0] == -1 and counted.tolist() == [1]:
            found.append("or are these labels -1 and 1? classes count from 0")
    if counted.size and int(counted[-1]) == classes:
        if int(counted[0]) >= 1:
            rest = ", and set ignore_index=-1" if ignore_index == 0 else " where not ignored" if ignored.any() else ""
            found.append(f"labels seem to count from 1: subtract 1{rest}")
        elif int(counted[0]) == 0:
            found.append(f"labels 0 to {classes} are {classes + 1} classes, and input has {classes}")
    return "; ".join(found)
