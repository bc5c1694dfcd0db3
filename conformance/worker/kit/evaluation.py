"""Probes of evaluate: what it returns, what it does to its arrays, and what it says of casts and phases."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from xent import adapters, dtypes
from xent.spec import Arguments

from .findings import Wrong, step, told
from .specs import Call, allowed, arguments_of, plain, weight_dtypes

_MODULES_OWN = "xent.adapters.layout(array) gives a contiguous base and the axes to permute it by in the framework"
# What no framework has a dtype for; where long double is float64 (some platforms), complex numbers are as unfit.
_UNFIT = np.dtype(np.longdouble if np.finfo(np.longdouble).nmant > 52 else np.complex64)
_REFUSED = (("reduction", "no-such-reduction"), ("label_smoothing", 1.5), ("label_smoothing", -0.5))


def evaluated(adapter: ModuleType, call: Call, gradient: Any, what: str) -> Any:
    """The Evaluation, of which value and gradient are arrays where there are any."""
    adapters.reset_phases()
    with step(f"evaluate, {what},"):
        found = adapter.evaluate(call.spec, call.input, call.target, gradient=gradient)
    if not isinstance(found, adapters.Evaluation):
        raise Wrong(f"evaluate, {what}, returned {type(found).__name__}, not an xent.adapters.Evaluation")
    for name in ("value", "gradient"):
        array = getattr(found, name)
        if not (isinstance(array, np.ndarray) or (name == "gradient" and array is None)):
            raise Wrong(f"evaluate, {what}, gave a {type(array).__name__} for {name}; it must be a NumPy array")
    return found


def gradient(adapter: ModuleType) -> None:
    """The gradient with respect to input comes exactly where it is asked for, in input's shape and dtype."""
    call = plain(adapter.capabilities)
    without = evaluated(adapter, call, False, "with gradient=False")
    if without.gradient is not None:
        raise Wrong("evaluate with gradient=False returned a gradient; return it only where it is asked for")
    for asked in (True, ("input",)):
        found = evaluated(adapter, call, asked, f"with gradient={asked!r}")
        if found.gradient is None:
            raise Wrong(
                f"evaluate with gradient={asked!r} returned no gradient; xent.adapters.gradients.asked reads it"
            )
        if found.gradient.shape != call.input.shape:
            raise Wrong(f"the gradient has shape {found.gradient.shape}, and input {call.input.shape}")
        if not _close(found.value, without.value):
            raise Wrong(f"with gradient={asked!r} the value is {_few(found.value)}, without {_few(without.value)}")


def layouts(adapter: ModuleType) -> None:
    """Transposed, strided, reversed, broadcast and read-only arrays give what their contiguous copies give."""
    ranks = (2,) if getattr(adapter, "SAMPLE", None) else (2, 3, 4)
    for rank in allowed(adapter.capabilities, "input_ranks", ranks):
        call = plain(adapter.capabilities, rank=rank)
        for name, arranged in _ARRANGEMENTS.items():
            input, target = arranged(call.input), arranged(call.target)
            copies = Call(call.spec, _copied(input), _copied(target))
            right = evaluated(adapter, copies, True, "with contiguous arrays")
            what = f"with {name} arrays of rank {rank}"
            got = evaluated(adapter, Call(call.spec, input, target), True, what)
            for part in ("value", "gradient"):
                mine, theirs = getattr(got, part), getattr(right, part)
                if mine is not None and theirs is not None and not _close(mine, theirs):
                    raise Wrong(
                        f"{what} the {part} is {_few(mine)}, and {_few(theirs)} for the same numbers in contiguous "
                        f"arrays; {_MODULES_OWN}"
                    )


def untouched(adapter: ModuleType) -> None:
    """The arrays that evaluate is given are the same afterwards."""
    own = dtypes.name(plain(adapter.capabilities).input)  # of another dtype a framework may refuse the weight
    weight = own if own in weight_dtypes(adapter.capabilities) else None
    call = plain(adapter.capabilities, weight=weight)
    arguments = arguments_of(call.spec)
    if arguments.weight is not None:
        arguments = arguments._replace(weight=arguments.weight.copy())  # a spec's own is read-only
    given = {"input": call.input.copy(), "target": call.target.copy(), "weight": arguments.weight}
    before = {name: array.tobytes() for name, array in given.items() if array is not None}
    evaluated(adapter, Call(arguments, given["input"], given["target"]), True, "with writable arrays")
    for name, data in before.items():
        if given[name].tobytes() != data:
            raise Wrong(f"evaluate changed {name} while it ran; copy it before a framework may write to it")


def repeat(adapter: ModuleType) -> None:
    """The same call gives the same bits again, another call in between."""
    call, other = plain(adapter.capabilities), plain(adapter.capabilities)
    first = evaluated(adapter, call, True, "called once")
    evaluated(adapter, other._replace(input=other.input[::-1].copy()), True, "called with other numbers")
    again = evaluated(adapter, call, True, "called again")
    for part in ("value", "gradient"):
        one, two = getattr(first, part), getattr(again, part)
        if (one is None) != (two is None) or (one is not None and one.tobytes() != two.tobytes()):
            raise Wrong(
                f"the same call gave two {part}s, {_few(one)} and then {_few(two)}; it must leave nothing behind"
            )


def phases(adapter: ModuleType) -> None:
    """Each call into the framework stands in its phase, so that an exception is known for where it came from."""
    call = plain(adapter.capabilities)
    evaluated(adapter, call, False, "with gradient=False")
    if adapters.phase_seconds() <= 0:
        raise Wrong('no call stands in a phase: write `with phase("construct"):`, "forward" and "backward" around them')
    if adapters.last_phase() != "forward":
        raise Wrong(
            f'without a gradient the last phase is "{adapters.last_phase()}"; the call of the loss is "forward"'
        )
    evaluated(adapter, call, True, "with gradient=True")
    if adapters.last_phase() != "backward" and getattr(adapter, "MODE", "eager") == "eager":
        raise Wrong('with a gradient the last phase is "forward"; what computes the gradient stands in "backward"')
    for name, value in _REFUSED:
        _refused(adapter, call, arguments_of(call.spec)._replace(**{name: value}), f"{name}={value!r}")
    adapters.reset_phases()
    try:
        found = adapter.evaluate(call.spec, call.input.astype(_UNFIT), call.target, gradient=False)
    except Exception as error:
        if adapters.last_phase() == "backward":
            what = f'a {_UNFIT} input was refused in the phase "backward"; nothing was differentiated'
            raise Wrong(what) from error
    else:
        if not getattr(found, "casts", ()):
            raise Wrong(
                f"{_UNFIT} input was taken, which no framework has: evaluate casts it, and `casts` doesn't say so"
            )


def _refused(adapter: ModuleType, call: Call, arguments: Arguments, what: str) -> None:
    """What the constructor refuses is refused by evaluate with the same exception, and in the phase "construct"."""
    try:
        adapter.to_native(arguments)
        own: Optional[Exception] = None
    except Exception as error:
        own = error
    adapters.reset_phases()
    try:
        adapter.evaluate(arguments, call.input, call.target, gradient=True)
    except Exception as error:
        phase, why = adapters.last_phase(), ""
        if own is not None and type(error) is not type(own):
            why = f"to_native raises {told(own)}, and evaluate {told(error)}; let it go through"
        elif own is not None and phase != "construct":
            why = f'to_native raises, and so does evaluate, but in the phase "{phase}", not "construct"'
        elif own is None and phase == "construct":
            why = f'to_native raises nothing, and evaluate {told(error)} in the phase "construct"'
        if why:
            raise Wrong(f"with {what} {why}") from error
    else:
        if own is not None:
            raise Wrong(f"with {what} to_native raises {told(own)}, and evaluate returns a value; let it go through")


def casts(adapter: ModuleType) -> None:
    """A result in another dtype, or with another's digits, has its casts told."""
    for dtype in allowed(adapter.capabilities, "input_dtypes", dtypes.FLOATS):
        call = plain(adapter.capabilities, dtype=dtype)
        try:
            found = evaluated(adapter, call, True, f"with {dtype} input")
        except Wrong:  # whether a dtype runs is another check's
            continue
        if found.casts:
            continue
        for part in ("value", "gradient"):
            array = getattr(found, part)
            if array is not None and dtypes.name(array) != dtype:
                raise Wrong(f"of {dtype} input the {part} is {dtypes.name(array)}, and `casts` is empty: {_CASTS}")
        if dtype == "float64" and (digits := _digits(found.gradient, call)):
            raise Wrong(
                f"of float64 input the gradient has {digits:.0f} digits, as float32 has, and `casts` is empty: {_CASTS}"
            )


_CASTS = 'convert nothing, or tell it, ("input float64 -> float32",)'


def _digits(gradient: Optional[dtypes.Array], call: Call) -> float:
    """Digits of a gradient that has some 7 where float64 has 15; 0 where it has more, or is another gradient."""
    if gradient is None or call.input.ndim != 2:
        return 0
    with np.errstate(all="ignore"):
        rows = np.exp(call.input - call.input.max(1, keepdims=True))
        softmax = rows / rows.sum(1, keepdims=True)
        hot = call.target if dtypes.is_float(call.target) else np.eye(4)[call.target.astype(np.int64)]
        right = softmax - hot
        right = right / len(right) if call.spec.reduction == "mean" else right
        error = float(np.abs(gradient - right).max() / np.abs(right).max())
    return float(-np.log10(error)) if 1e-11 < error < 1e-4 else 0


def _reversed(array: dtypes.Array) -> dtypes.Array:
    return array[::-1] if array.ndim else array


def _strided(array: dtypes.Array) -> dtypes.Array:
    wide = array
    for axis in range(array.ndim):
        wide = np.repeat(wide, 2, axis)
    return wide[tuple(slice(None, None, 2) for _ in array.shape)]


def _broadcast(array: dtypes.Array) -> dtypes.Array:
    """Its first row for every row, without memory of its own."""
    first: dtypes.Array = np.broadcast_to(array[:1], array.shape) if array.ndim else array
    return first


def _read_only(array: dtypes.Array) -> dtypes.Array:
    kept: dtypes.Array = array.copy()
    kept.flags.writeable = False
    return kept


_ARRANGEMENTS: Dict[str, Callable[[dtypes.Array], dtypes.Array]] = {
    "transposed": np.asfortranarray,
    "strided": _strided,
    "reversed": _reversed,
    "broadcast": _broadcast,
    "read-only": _read_only,
}


def _copied(array: dtypes.Array) -> dtypes.Array:
    return np.array(array, order="C", copy=True)


def _close(one: dtypes.Array, two: dtypes.Array) -> bool:
    """Equal but for digits: a framework may have another kernel for another layout."""
    if one.shape != two.shape or dtypes.name(one) != dtypes.name(two):
        return False
    if not dtypes.is_float(one):
        return bool((one == two).all())
    tolerance = 64 * dtypes.unit_roundoff(dtypes.name(one))
    left, right = dtypes.to_float64(one), dtypes.to_float64(two)
    return bool(np.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True))


def _few(array: Optional[dtypes.Array]) -> str:
    """Its first numbers, for a message."""
    if array is None:
        return "none"
    flat = array.reshape(-1)[:4]
    values: List[Any] = dtypes.to_data(flat) if dtypes.is_float(flat) else flat.tolist()
    text = ", ".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in values)
    return f"[{text}{', ...' if array.size > 4 else ''}] of shape {array.shape}"
