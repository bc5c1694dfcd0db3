"""The checks by name, in their order: what holds where each is ok, and where in the guide its author reads on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

GUIDE = "docs/adding-a-framework.md"
Status = Literal["ok", "missing", "wrong"]


class About(NamedTuple):
    """What a check says where it is ok, and the heading of the guide that tells how to get there."""

    holds: str
    heading: str


CHECKS: Mapping[str, About] = {
    "import": About("importing the adapter imports no framework", "the-module"),
    "names": About("every name of the contract is there, and of its kind", "the-module"),
    "entries": About("each entry of capabilities allows what there is, with a clause", "capabilities"),
    "round-trip": About("from_native(to_native(spec)) is the spec, for every argument", "to-the-framework-and-back"),
    "weights": About("a weight of every dtype keeps its dtype and bits", "to-the-framework-and-back"),
    "foreign": About("from_native refuses what is no loss of its framework", "to-the-framework-and-back"),
    "source": About("source(spec) evaluates to the same loss, defaults left out", "calls-as-text"),
    "calls": About("from_call reads the calls that source writes", "calls-as-text"),
    "order": About("from_call reads positional and deprecated arguments as the constructor does", "calls-as-text"),
    "value": About("the plainest calls agree with the oracle, value and gradient", "evaluate"),
    "gradient": About("the gradient comes exactly when asked for, in input's shape", "evaluate"),
    "layouts": About("transposed, strided, reversed, broadcast and read-only arrays arrive unchanged", "layouts"),
    "untouched": About("input, target and weight are the same after the call", "layouts"),
    "repeat": About("the same call gives the same bits again", "evaluate"),
    "phases": About("construct, forward and backward are marked, and exceptions go through", "phases"),
    "casts": About("a cast that happens is told", "casts"),
    "refusals": About("arguments that must be refused reach the framework", "phases"),
    "includes": About("what capabilities allow runs", "capabilities"),
    "excludes": About("what capabilities exclude is refused, or deviates", "capabilities"),
    "portable": About("the portable loss keeps the specification on a sample", "the-portable-loss"),
}


class Check(NamedTuple):
    """What came of one check.

    Attributes:
        name: one of CHECKS.
        status: "ok", "missing" or "wrong".
        words: for the adapter's author: what holds, or what is missing or wrong and what to do.
        notes: what is no fault of the adapter, and worth knowing.
    """

    name: str
    status: Status
    words: str
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where to read on, as ``FILE#HEADING``."""
        return f"{GUIDE}#{CHECKS[self.name].heading}"


def ok(name: str, notes: tuple[str, ...] = ()) -> Check:
    """The check of that name, passed."""
    return Check(name, "ok", CHECKS[name].holds, notes)
