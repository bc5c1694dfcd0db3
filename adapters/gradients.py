"""Which gradients a call of an adapter's `evaluate` asks for."""

from __future__ import annotations

from typing import Any, Tuple, Union

from xent.spec import Arguments, CrossEntropySpec

Asked = Union[bool, Tuple[str, ...]]
"""False: none; True: the one with respect to input; else the names of those asked for."""


def asked(gradient: Asked) -> Tuple[str, ...]:
    """Of "input", "target" and "weight" what is asked for."""
    if isinstance(gradient, tuple):
        return gradient
    return ("input",) if gradient else ()


def besides_input(names: Tuple[str, ...]) -> Tuple[str, ...]:
    """What is asked for besides the gradient with respect to input.

    It takes a call of its own: a weight or a target that wants a gradient may lead a loss to other kernels than the
    ones that everybody's value and gradient come from.
    """
    return tuple(name for name in names if name != "input")


def with_weight(spec: Union[CrossEntropySpec, Arguments], weight: Any) -> Arguments:
    """The arguments with a framework's own tensor for the weight."""
    return Arguments(weight, spec.ignore_index, spec.reduction, spec.label_smoothing)
