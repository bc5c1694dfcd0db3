"""Large results in huge pages, where Linux grants them on request.

The first write to each 4 KiB page of fresh memory costs a fault; for the gradient of a large vocabulary that is more
time than the arithmetic (measured, 2048 x 32000 float32: 130 of 280 ms). torch asks for huge pages only where the
environment variable THP_MEM_ALLOC_ENABLE is set before the process starts.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any, Callable, Optional

from .problem import Tensor, torch

_ADVICE = 14  # MADV_HUGEPAGE
_PAGE = 1 << 21
_WORTH = 1 << 25  # malloc maps blocks above this size one by one, so the advice ends with the tensor


def empty_like(model: Tensor, dtype: Any) -> Tensor:
    """`torch.empty_like`, in huge pages where that pays. A refusal changes nothing: it is advice."""
    result = torch.empty_like(model, dtype=dtype)
    size = result.numel() * result.element_size()
    if size > _WORTH and result.device.type == "cpu":
        advise = _madvise()
        start = -(-result.data_ptr() // _PAGE) * _PAGE
        if advise is not None:
            advise(start, (result.data_ptr() + size - start) // _PAGE * _PAGE, _ADVICE)
    return result


@lru_cache(maxsize=None)
def _madvise() -> Optional[Callable[[int, int, int], int]]:
    if not sys.platform.startswith("linux"):
        return None
    function = getattr(ctypes.CDLL(None), "madvise", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function  # type: ignore[no-any-return]  # ctypes functions are untyped
