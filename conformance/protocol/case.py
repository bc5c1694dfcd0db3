"""A case: the arguments of a loss, an input and a target, with an id, tags and the clauses it tests.

Runs in a worker: standard library and NumPy only, Python 3.8, NumPy 1.19.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Tuple

import numpy as np

from xent import dtypes
from xent.layout import layout
from xent.spec import Arguments, arguments_to_dict

ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/:,=@%~()\[\]{}-]{0,199}", re.ASCII)
ID_RULE = "letters, digits and _.+/:,=@%~()[]{}-, with a letter, digit or _ first, at most 200 of them"
DIFFERENTIABLE = ("input", "target", "weight")
"""What a gradient can be asked for: input, class probabilities, weight."""


@dataclass(frozen=True, eq=False)
class Expected:
    """A published result, with the precision that it was printed in.

    value, gradient: float64 arrays, or None where the source prints none.
    raises: the source says that the call is refused; value and gradient are then None.
    """

    value: Optional[dtypes.Array] = None
    gradient: Optional[dtypes.Array] = None
    atol: float = 0.0
    rtol: float = 0.0
    raises: bool = False

    def __post_init__(self) -> None:
        if self.raises and (self.value is not None or self.gradient is not None):
            raise ValueError("expected: a case that raises has neither a value nor a gradient")


@dataclass(frozen=True, eq=False)
class Case:
    """One call of a loss. `input` and `target` keep their dtype and the order of their axes in memory.

    id: as `ID_RULE` says, unique within a case set.
    arguments: as written, not validated, because some cases must be refused.
    tags: "capability" runs the case even where the adapter's capabilities exclude it; others select and describe.
    clauses: ids from clauses.json.
    gradients: of DIFFERENTIABLE, in that order: what the gradient of the summed result is asked for with respect to.
    """

    id: str
    arguments: Arguments
    input: dtypes.Array
    target: dtypes.Array
    tags: Tuple[str, ...] = ()
    clauses: Tuple[str, ...] = ()
    gradients: Tuple[str, ...] = ("input",)
    expected: Optional[Expected] = None
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not ID.fullmatch(self.id):
            raise ValueError(f"case id {self.id!r} must be {ID_RULE}")
        for name, array in (("input", self.input), ("target", self.target), ("weight", self.arguments.weight)):
            if not isinstance(array, np.ndarray) and not (name == "weight" and array is None):
                raise TypeError(f"case {self.id}: {name} must be a NumPy array, not {type(array).__name__}")
        for name, words in (("tags", self.tags), ("clauses", self.clauses)):
            if not isinstance(words, tuple) or not all(isinstance(word, str) for word in words):
                raise TypeError(f"case {self.id}: {name} must be a tuple of str")
        if self.gradients != tuple(name for name in DIFFERENTIABLE if name in self.gradients):
            raise ValueError(f"case {self.id}: gradients are of {', '.join(DIFFERENTIABLE)}, in that order")

    @property
    def gradient(self) -> bool:
        """Whether the gradient with respect to input is asked for."""
        return "input" in self.gradients

    @property
    def others(self) -> Tuple[str, ...]:
        """What else of `gradients` this call has: class probabilities, and a weight that is given."""
        has = {"target": dtypes.is_float(self.target), "weight": self.arguments.weight is not None}
        return tuple(name for name in self.gradients if has.get(name))


def digest(cases: Iterable[Case]) -> str:
    """SHA-256 (hex) of all that decides what a worker records and a judge finds, whatever the order of the cases.

    The same for both forms of bfloat16, for every byte order and for every version of Python and NumPy.
    """
    parts: List[Tuple[str, bytes]] = sorted((case.id, _digest_one(case)) for case in cases)
    return hashlib.sha256(b"".join(part for _, part in parts)).hexdigest()


def _digest_one(case: Case) -> bytes:
    expected = case.expected
    arrays = [case.input, case.target, case.arguments.weight]
    words: Dict[str, object] = {
        "id": case.id,
        "arguments": arguments_to_dict(case.arguments._replace(weight=None)),
        "tags": sorted(case.tags),
        "gradient": case.gradient,
    }
    if set(case.gradients) - {"input"}:  # only then, so that sets of before keep their digest
        words["gradients"] = list(case.gradients)
    if expected is not None:
        arrays += [expected.value, expected.gradient]
        words["expected"] = [float(expected.atol).hex(), float(expected.rtol).hex(), expected.raises]
    words["arrays"] = [None if array is None else _description(array) for array in arrays]
    state = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for array in arrays:
        if array is not None:
            state.update(_little_endian(array))
    return state.digest()


def _description(array: dtypes.Array) -> List[object]:
    axes = layout(array)[1]
    outermost_first = sorted(range(array.ndim), key=axes.__getitem__)
    # An axis of extent 1 has no place in memory order: its stride is arbitrary and changes when the array travels.
    order = [axis for axis in outermost_first if array.size and array.shape[axis] > 1]
    return [dtypes.name(array), list(array.shape), order]


def _little_endian(array: dtypes.Array) -> bytes:
    base = layout(array)[0]
    if dtypes.name(base) == "bfloat16":  # neither of its two forms has a byte order to change
        return dtypes.bits(base).astype("<u2").tobytes()
    return base.astype(base.dtype.newbyteorder("<"), copy=False).tobytes()
