"""The portable loss under mint's name: the implementation is MindSpore's, whose branch for Ascend is made of mint's
operators (mindspore/ascend.py, NEVER RUN there) and whose branch for a CPU runs where mint's kernels do not exist."""

from __future__ import annotations

from ..mindspore.linear import linear_cross_entropy
from ..mindspore.linear_module import LinearCrossEntropyLoss
from ..mindspore.portable import CrossEntropyLoss, cross_entropy

__all__ = ["CrossEntropyLoss", "LinearCrossEntropyLoss", "cross_entropy", "linear_cross_entropy"]
