"""Sums over classes, and one number a row against all of its classes, for the two layouts that logits come in.

``oneflow.sub(x, row)`` with one number a row runs an index calculation for each element on CPU (some 300 times the time
of a subtraction of equal shapes, measured, 0.9.0), and so does every other broadcast along the classes but one: oneDNN
has a kernel for one number a channel, and rows seen as channels, (1, R, 1, C) and (1, R, 1, 1), run at the speed of
memory. Elsewhere a matrix product with ones spreads and adds up at that speed, and where it has one term it is exact.
"""

from __future__ import annotations

from typing import Any, Tuple

from xent.adapters.framework import framework

flow = framework("oneflow")
ops = flow._C


class Rows:
    """Logits (R, C). A column, one number a row, has shape (R, 1)."""

    def __init__(self, x: Any) -> None:
        self.places, self.classes = x.shape
        self.column = (self.places, 1)
        self._dtype, self._device = x.dtype, x.device

    def full(self, value: float) -> Any:
        """A column of that number."""
        return ops.constant(self.column, value, dtype=self._dtype, device=self._device)

    def _ones(self, shape: Tuple[int, ...]) -> Any:
        return ops.constant(shape, 1.0, dtype=self._dtype, device=self._device)

    def total(self, t: Any) -> Any:
        """(R, C) -> column: the sum over classes."""
        return ops.matmul(t, self._ones((self.classes, 1)))

    def spread(self, v: Any) -> Any:
        """Column -> (R, C): each number for all classes of its row."""
        return ops.matmul(v, self._ones((1, self.classes)))

    def minus(self, t: Any, v: Any) -> Any:
        """(R, C) less the column."""
        return ops.sub(self._channels(t), self._channels(v)).reshape(*t.shape)

    def times(self, t: Any, v: Any) -> Any:
        """(R, C) times the column."""
        return ops.mul(self._channels(t), self._channels(v)).reshape(*t.shape)

    def scaled(self, t: Any, v: Any) -> Any:
        """t itself, multiplied by the column in place."""
        self._channels(t).mul_(self._channels(v))
        return t

    def _channels(self, t: Any) -> Any:
        return t.reshape(1, self.places, 1, -1)

    def product(self, t: Any, w: Any) -> Any:
        """(R, C), (C) -> column: the sum over classes weighted with w."""
        return ops.matmul(t, w.reshape(self.classes, 1))

    def outer(self, v: Any, w: Any) -> Any:
        """Column, (C) -> (R, C): every product."""
        return ops.matmul(v, w.reshape(1, self.classes))

    def positions(self, column: Any) -> Any:
        """(R): where the class index of each row lies in the flattened logits."""
        starts = flow.arange(0, self.places * self.classes, self.classes, device=column.device)
        return ops.add(starts, column.reshape(-1))


class Planes:
    """Logits (N, C, L), L the product of d1 to dK. A column, one number a row, has shape (N, 1, L)."""

    def __init__(self, x: Any) -> None:
        self.batch, self.classes, self.length = x.shape
        self.places = self.batch * self.length
        self.column = (self.batch, 1, self.length)
        self._dtype, self._device = x.dtype, x.device

    def full(self, value: float) -> Any:
        """A column of that number."""
        return ops.constant(self.column, value, dtype=self._dtype, device=self._device)

    def _ones(self, shape: Tuple[int, ...]) -> Any:
        return ops.constant(shape, 1.0, dtype=self._dtype, device=self._device)

    def total(self, t: Any) -> Any:
        """(N, C, L) -> column: the sum over classes."""
        return ops.batch_matmul(self._ones((self.batch, 1, self.classes)), t)

    def spread(self, v: Any) -> Any:
        """Column -> (N, C, L): each number for all classes of its row."""
        return ops.batch_matmul(self._ones((self.batch, self.classes, 1)), v)

    def minus(self, t: Any, v: Any) -> Any:
        """(N, C, L) less the column."""
        return ops.sub(t, self.spread(v))

    def times(self, t: Any, v: Any) -> Any:
        """(N, C, L) times the column."""
        g = self.spread(v)
        return ops.mul(g, t) if g.is_lazy else g.mul_(t)

    def product(self, t: Any, w: Any) -> Any:
        """(N, C, L), (C) -> column: the sum over classes weighted with w."""
        return ops.batch_matmul(w.reshape(1, 1, self.classes).repeat(self.batch, 1, 1), t)

    def outer(self, v: Any, w: Any) -> Any:
        """Column, (C) -> (N, C, L): every product."""
        return ops.batch_matmul(w.reshape(1, self.classes, 1).repeat(self.batch, 1, 1), v)

    def positions(self, column: Any) -> Any:
        """(N * L): where the class index of each row lies in the flattened logits."""
        size = self.classes * self.length
        starts = flow.arange(0, self.batch * size, size, device=column.device).reshape(self.batch, 1)
        along = flow.arange(self.length, device=column.device).reshape(1, self.length)
        chosen = ops.mul(column.reshape(self.batch, self.length), self.length)
        return ops.add(ops.add(chosen, along), starts).reshape(-1)
