"""What surrounds a call: compilers, transforms, autocast, devices. Older torch lacks some, and the questions too."""

from __future__ import annotations

import sys
from typing import Any, Optional

from xent.adapters.framework import framework

torch: Any = framework("torch")
Tensor = Any

HALVES = (torch.float16, torch.bfloat16)
_TYPES = (torch.Tensor, torch.nn.Parameter)
_forward_mode = torch.autograd.forward_ad
_in_transform = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)

is_compiling = getattr(getattr(torch, "compiler", None), "is_compiling", lambda: False)


def plain(*tensors: Optional[Tensor]) -> bool:
    """Whether values can be looked at: on the CPU, no subclass with ideas of its own, nothing traced or transformed.

    What is no tensor at all counts as plain: it meets the checks there.
    """
    if is_compiling() or _in_transform() or _forward_mode._current_level >= 0:
        return False
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and (type(tensor) not in _TYPES or tensor.device.type != "cpu"):
            return False
    return True


def distributed(*tensors: Optional[Tensor]) -> bool:
    """Whether one of the tensors is a DTensor; whoever holds one has imported its module."""
    if all(tensor is None or type(tensor) in _TYPES for tensor in tensors):
        return False
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and any(isinstance(tensor, module.DTensor) for tensor in tensors)


def whole(tensor: Tensor) -> Tensor:
    """A DTensor gathered; any other tensor as it is."""
    return tensor.full_tensor() if distributed(tensor) else tensor


def may_differentiate(*tensors: Optional[Tensor]) -> bool:
    """Whether a derivative with respect to one of these tensors may be asked for. Transforms don't tell: yes, then."""
    if any(tensor is not None and tensor.requires_grad for tensor in tensors):
        return True
    return not is_compiling() and (_in_transform() or _forward_mode._current_level >= 0)


def computed_in(input: Tensor) -> Any:
    """The dtype of computation."""
    return torch.float64 if input.dtype is torch.float64 else torch.float32


def result_dtype(input: Tensor) -> Any:
    """input's own (S14); under autocast float32 for float16 and bfloat16, as torch's own loss has it."""
    if input.dtype in HALVES:
        try:
            autocast = torch.is_autocast_enabled(input.device.type)
        except TypeError:  # torch before 2.4 has a function for each device
            autocast = torch.is_autocast_cpu_enabled() if input.device.type == "cpu" else torch.is_autocast_enabled()
        return torch.float32 if autocast else input.dtype
    return input.dtype
