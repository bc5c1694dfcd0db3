"""Optax's cross entropy on JAX, as a plug-in: ``xent run --adapter xent_optax --python optax=INTERPRETER``.

Document: the docstrings and signatures of Optax 0.2.8. Peculiarities, each with its source:
- Two functions, one for each kind of target, so the loss depends on it: `to_native` and `source` take `target_kind`.
- They give one loss for each row and know logits, labels, axis and where (signature): no weight, no ignore_index, no
  reduction. What a spec has of these is handed on as a keyword all the same, and Optax refuses it by name. An
  ignore_index that no row holds changes nothing, and isn't handed on by `evaluate`.
- The class axis is the last one unless `axis` says otherwise (signature): the call says so, the loss doesn't hold it.
- Smoothing is a function of its own that takes one-hot or probability labels (smooth_labels' docstring): `Smoothed`.
- A class index outside [0, C) is no error: C and beyond give nan, and -1 is the last class (measured, JAX 0.10.2).
- JAX has no 64-bit numbers unless it is told so, and would cast them silently: `prepare` tells it.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities, Entry, Evaluation, phase
from xent.adapters.framework import framework
from xent.adapters.gradients import Asked, asked
from xent.adapters.source import literal
from xent.spec import Arguments, CrossEntropySpec

NAME = "optax"
FRAMEWORK = "optax"
_SIGNATURE = "optax 0.2.8: its losses take logits, labels, axis and where"
capabilities = Capabilities(
    weight_dtypes=Entry((), _SIGNATURE),
    ignored_rows=Entry(("none",), _SIGNATURE),
    reductions=Entry(("none",), _SIGNATURE),
)
_LOSSES = {"indices": "softmax_cross_entropy_with_integer_labels", "probabilities": "softmax_cross_entropy"}


def _optax() -> Any:
    return framework("optax", _LOSSES["indices"])


def _jax() -> Any:
    return framework("jax", "nn.one_hot")


class Smoothed(NamedTuple):
    """Optax's loss for smoothed labels, as its users write it: ``Smoothed(0.1)(logits, labels, axis=1)``."""

    alpha: float
    target_kind: str = "indices"

    def __call__(self, logits: Any, labels: Any, axis: int = -1, **others: Any) -> Any:
        """One loss for each row. `labels` are class indices, or probabilities where `target_kind` says so."""
        optax = _optax()
        if self.target_kind == "indices":
            one_hot = _jax().nn.one_hot
            labels = one_hot(labels, logits.shape[axis], axis=axis, dtype=logits.dtype)
        return optax.softmax_cross_entropy(
            logits, optax.smooth_labels(labels, self.alpha, axis=axis), axis=axis, **others
        )


def version() -> str:
    """Optax's version, e.g. ``"0.2.8"``."""
    return str(_optax().__version__)


def device() -> str:
    """Where JAX runs: ``"cpu"``, ``"gpu"`` or ``"tpu"``."""
    return str(_jax().default_backend())


def prepare() -> None:
    """64-bit numbers, which JAX otherwise makes 32-bit ones of."""
    _jax().config.update("jax_enable_x64", True)


def to_native(spec: CrossEntropySpec | Arguments, target_kind: str | None = None) -> Any:
    """Optax's function for that kind of target (default: class indices), or `Smoothed`.

    What Optax has no argument for is bound to it as a keyword, and refused by Optax when it is called.
    """
    return _bound(spec, target_kind or "indices", spec.ignore_index != -100)


def _bound(spec: CrossEntropySpec | Arguments, target_kind: str, ignores: bool) -> Any:
    loss = getattr(_optax(), _LOSSES[target_kind])
    if spec.label_smoothing != 0:
        loss = Smoothed(spec.label_smoothing, target_kind)
    lacking = _lacking(spec, ignores)
    return functools.partial(loss, **lacking) if lacking else loss


def _lacking(spec: CrossEntropySpec | Arguments, ignores: bool) -> dict[str, Any]:
    """What the spec asks for beyond Optax's arguments."""
    asked_for = {"weight": spec.weight is not None, "ignore_index": ignores, "reduction": spec.reduction != "none"}
    return {name: getattr(spec, name) for name, has in asked_for.items() if has}


def from_native(loss: Any) -> CrossEntropySpec:
    """The spec of what `to_native` gives. TypeError for another object, SpecError for what the spec refuses."""
    inner, lacking = (loss.func, loss.keywords) if isinstance(loss, functools.partial) else (loss, {})
    functions = [getattr(_optax(), name) for name in _LOSSES.values()]
    if not isinstance(inner, Smoothed) and inner not in functions:
        raise TypeError(f"loss must be one of optax's {' and '.join(_LOSSES.values())}, got {type(loss).__name__}")
    smoothing = inner.alpha if isinstance(inner, Smoothed) else 0.0
    return CrossEntropySpec(**{"reduction": "none", "label_smoothing": smoothing, **lacking})


def from_call(logits: Any = None, labels: Any = None, axis: Any = -1, where: Any = None) -> CrossEntropySpec:
    """The spec behind a call of either function as written. TypeError for `where`, which the spec has nothing like."""
    if where is not None:
        raise TypeError(f"where has no counterpart in the spec, got {type(where).__name__}; select the rows before")
    return CrossEntropySpec(reduction="none")


def source(spec: CrossEntropySpec | Arguments, target_kind: str | None = None) -> str:
    """The loss as text that needs ``import optax``, and for what Optax lacks ``import functools, xent_optax``."""
    kind = target_kind or "indices"
    text = f"optax.{_LOSSES[kind]}"
    if spec.label_smoothing != 0:
        text = f"xent_optax.Smoothed({literal(spec.label_smoothing)}, {kind!r})"
    for name, value in _lacking(spec, spec.ignore_index != -100).items():
        text = f"functools.partial({text}, {name}={_written(value)})"
    return text


def _written(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return literal(value)
    data = literal(dtypes.to_data(value))
    return f"xent.dtypes.from_data({data}, {dtypes.name(value)!r})"


def evaluate(
    spec: CrossEntropySpec | Arguments, input: dtypes.Array, target: dtypes.Array, *, gradient: Asked
) -> Evaluation:
    """Optax's losses of the rows, and the gradients of their sum with respect to input and class probabilities."""
    jax, names = _jax(), asked(gradient)
    kind = "probabilities" if dtypes.is_float(target) else "indices"
    with phase("construct"):
        loss = _bound(spec, kind, _ignores(spec.ignore_index, target))
    with phase("forward"):
        given = {"input": jax.numpy.asarray(input), "target": jax.numpy.asarray(target)}

        def forward(wanted: dict[str, Any]) -> Any:
            now = {**given, **wanted}
            return loss(now["input"], now["target"], axis=min(1, input.ndim - 1))

        result, pull = jax.vjp(forward, {name: given[name] for name in names})
        value = np.asarray(result)
    if not names:
        return Evaluation(value)
    with phase("backward"):
        slopes = {name: np.asarray(slope) for name, slope in pull(jax.numpy.ones_like(result))[0].items()}
    return Evaluation(value, slopes.pop("input", None), gradients=slopes or None)


def _ignores(ignore_index: Any, target: dtypes.Array) -> bool:
    """Whether ignore_index changes anything with this target, or is no index at all."""
    if type(ignore_index) is not int:
        return True
    return ignore_index >= 0 if dtypes.is_float(target) else bool((target == ignore_index).any())
