"""What both scripts about torch's portable loss share: the three ways to compute it, each forced, and the oracle."""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from xent import dtypes, reference
from xent.adapters import reset_phases
from xent.adapters.torch import context, fused, portable, ported
from xent.spec import CrossEntropySpec

WAYS = ("small", "fused", "composed")
SWITCHES = (
    (portable, "_SMALL"),
    (portable, "native_first"),
    (fused, "_CHUNK"),
    (fused, "SOFTMAX_CLASSES"),
    (context, "plain"),
)


def not_plain(*tensors):
    return not all(tensor is None or isinstance(tensor, torch.Tensor) for tensor in tensors)


@contextlib.contextmanager
def way(name):
    """Every call goes that way, in chunks of a few rows; what it gives up on goes where it always goes."""
    kept = [getattr(module, switch) for module, switch in SWITCHES]
    if name == "fused":
        portable._SMALL, fused._CHUNK, fused.SOFTMAX_CLASSES = 0, 48, 4
        portable.native_first = lambda *_: False
    elif name == "composed":
        context.plain = not_plain
    try:
        yield
    finally:
        for (module, switch), value in zip(SWITCHES, kept, strict=True):
            setattr(module, switch, value)


def compare(spec, input, target, what="", value_only=False, ways=WAYS):
    """Asserts that these ways agree with the oracle: within a few float32 roundings of the largest term."""
    value, slope = reference.value(spec, input, target), reference.gradient(spec, input, target)
    for name in ways:
        reset_phases()
        with way(name):
            found = ported.evaluate(spec, input, target, gradient=True)
        near(found.value, value, f"{what} {name} value of {spec}")
        if not value_only:
            near(found.gradient, slope, f"{what} {name} gradient of {spec}")


def near(found, expected, what, computed="float64"):
    """Same dtype and shape, nan and inf in the same places, numbers close for that dtype of computation."""
    assert dtypes.name(found) == dtypes.name(expected), f"{what}: {dtypes.name(found)}"
    assert found.shape == expected.shape, f"{what}: shape {found.shape}"
    unit = max(dtypes.unit_roundoff(dtypes.name(expected)), dtypes.unit_roundoff(computed), 2.0**-40)
    found, expected = dtypes.to_float64(found), dtypes.to_float64(expected)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    both = np.isfinite(found) & np.isfinite(expected)
    size = np.where(np.isfinite(expected), np.abs(expected), 0)
    close = both & (np.abs(np.where(both, found - expected, 0)) <= 64 * unit * (size + 1))
    assert (same | close).all(), f"{what}: {found} is not {expected}"


def spec_of(weight=None, dtype="float32", **arguments):
    return CrossEntropySpec(None if weight is None else dtypes.from_float64(weight, dtype), **arguments)
