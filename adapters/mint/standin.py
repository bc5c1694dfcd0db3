"""Stand-ins for the leaf kernels that MindSpore lacks on a CPU, so that mint's own Python code can run there.

mint.nn.CrossEntropyLoss is Python in ``mindspore.ops.function.nn_func`` over a few kernels. On a CPU, in PyNative:

| leaf | there (measured, 2.10.0) | stand-in |
|---|---|---|
| log_softmax_ext | not registered | `kernels.log_softmax` |
| nllloss_2d_op | not registered | `kernels.nll_loss` |
| nllloss_impl, 1-D input | refused | `kernels.nll_loss` |
| nllloss_impl, 2-D, reduction none | ignored rows stay as the memory was, other tensors' numbers | `kernels.nll_loss` |
| nllloss_impl, 2-D, mean and sum, uint8 target | refused | `kernels.nll_loss` |
| nllloss_impl, 2-D, mean and sum, ignore_index beyond int32 | its gradient is wrong (below) | `kernels.nll_loss` |
| nllloss_impl, 2-D, mean and sum, else | runs | none: the CPU kernel |
| masked_fill_op | refuses the int 0 that mint passes | the CPU kernel, with 0 in input's dtype |

The CPU's NLLLossGrad reads class indices as int32. One of int64 that is ignored and does not fit gets a class's
gradient, is refused, or is taken for a place outside the memory, which ends the process; the forward kernel is right.

A stand-in leaves what it does not know (bfloat16, a reduction or ignore_index that is none) to the real leaf, whose
exception goes through. They differentiate with respect to input, like the kernels; in PyNative only.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from typing import Any, Callable, Dict, Iterator, List

from xent.dtypes import Array
from xent.errors import Unavailable

from . import kernels

_lock = threading.RLock()


@contextlib.contextmanager
def stand_ins() -> Iterator[List[str]]:
    """Puts the stand-ins in place for the length of the block, in this thread; yields the names of those called.

    Other threads reach the real leaves meanwhile, and wait for their own turn here. What was there is put back
    whatever happens.

    Raises:
        Unavailable: this MindSpore has no such leaf: its mint is another program than the one measured.
    """
    functions = importlib.import_module("mindspore.ops.function.nn_func")
    called: List[str] = []
    with _lock:
        missing = [name for name in _STAND_INS if not hasattr(functions, name)]
        if missing:
            reason = f"nn_func of this MindSpore has no {', '.join(missing)}, so mint can't run on a CPU"
            raise Unavailable("mint", reason, "The stand-ins know MindSpore 2.7 to 2.10.")
        real = {name: getattr(functions, name) for name in _STAND_INS}
        try:
            for name, stand_in in _STAND_INS.items():
                setattr(functions, name, _leaf(name, real[name], stand_in, called))
            yield called
        finally:
            for name, leaf in real.items():
                setattr(functions, name, leaf)


def _leaf(name: str, real: Any, stand_in: Callable[..., Any], called: List[str]) -> Callable[..., Any]:
    owner = threading.get_ident()

    def leaf(*args: Any, **kwargs: Any) -> Any:
        result = stand_in(real, *args, **kwargs) if threading.get_ident() == owner else NotImplemented
        if result is NotImplemented:
            return real(*args, **kwargs)
        called.append(name)
        return result

    return leaf


def _log_softmax_ext(real: Any, input: Any, dim: int, *, dtype: Any) -> Any:
    if dtype != input.dtype or not _known(input):
        return NotImplemented
    return _differentiable()(
        lambda x: kernels.log_softmax(x, dim),
        lambda x, output, slope: kernels.log_softmax_gradient(output, slope, dim),
    )(input)


def _nll_loss(real: Any, input: Any, target: Any, weight: Any, reduction: Any, ignore_index: Any) -> Any:
    if reduction not in ("none", "mean", "sum") or type(ignore_index) is not int or not _known(input, weight):
        return NotImplemented
    rows = target.asnumpy(), weight.asnumpy(), reduction, ignore_index
    totals: List[Array] = []

    def forward(x: Array) -> Array:
        loss, total = kernels.nll_loss(x, *rows)
        totals.append(total)
        return loss

    def backward(x: Array, output: Array, slope: Array) -> Array:
        return kernels.nll_loss_gradient(x, *rows, totals[0], slope)

    return _differentiable()(forward, backward)(input), _tensor(totals[0])


def _nll_loss_where_missing(real: Any, input: Any, target: Any, weight: Any, reduction: Any, ignore_index: Any) -> Any:
    runs = input.ndim == 2 and reduction != "none" and target.dtype != _mindspore().uint8
    if runs and not _is_beyond_int32(ignore_index):
        return NotImplemented
    return _nll_loss(real, input, target, weight, reduction, ignore_index)


def _is_beyond_int32(ignore_index: Any) -> bool:
    return type(ignore_index) is int and not -(2**31) <= ignore_index < 2**31


def _masked_fill(real: Any, input: Any, mask: Any, value: Any) -> Any:
    return real(input, mask, _mindspore().Tensor(value, input.dtype))


_STAND_INS: Dict[str, Callable[..., Any]] = {
    "log_softmax_ext": _log_softmax_ext,
    "nllloss_2d_op": _nll_loss,
    "nllloss_impl": _nll_loss_where_missing,
    "masked_fill_op": _masked_fill,
}


def _known(*tensors: Any) -> bool:
    return all(str(tensor.dtype).lower() in kernels.DTYPES for tensor in tensors)


def _mindspore() -> Any:
    return importlib.import_module("mindspore")


def _tensor(array: Array) -> Any:
    return _mindspore().Tensor(array)


@functools.lru_cache(maxsize=None)
def _differentiable() -> Any:
    """A MindSpore cell for a NumPy function of one tensor and its derivative; made late, since it needs MindSpore."""

    class Differentiable(_mindspore().nn.Cell):  # type: ignore[misc]  # MindSpore has no types
        def __init__(self, forward: Any, backward: Any) -> None:
            super().__init__()
            self.forward = forward
            self.backward = backward

        def construct(self, input: Any) -> Any:
            return _tensor(self.forward(input.asnumpy()))

        def bprop(self, input: Any, output: Any, slope: Any) -> Any:
            return (_tensor(self.backward(input.asnumpy(), output.asnumpy(), slope.asnumpy())),)

    return Differentiable
