"""The kit's cases: its probes, and calls that differ from the plainest one by one value that capabilities speak of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from xent import dtypes
from xent.adapters import Capabilities
from xent.conformance.cases import standard
from xent.conformance.cases.standard import hostile, refusals
from xent.conformance.cases.standard.plan import Plan, build
from xent.conformance.protocol.case import Case
from xent.conformance.worker.kit import tags
from xent.conformance.worker.kit.contract import VOCABULARY
from xent.spec import REDUCTIONS, Arguments

Purpose = Literal["probe", "value", "includes", "excludes", "refusals", "portable"]

_CAPABILITY = "capability"  # its worker runs what the capabilities exclude
_PLAIN = {"rank2", "unweighted", "smoothing-0", "mean"}  # tags of the plainest of a sample
_REFUSALS = ("reduction/unknown", "reduction/null", "label-smoothing/above-1", "input/integers")
_RANKS = (1, 2, 3, 4, 5)
# What an open field is asked about: common values, since no framework has all that the specification allows.
_COMMON: Mapping[str, tuple[Any, ...]] = {
    "index_dtypes": ("int32", "int64"),
    "probability_dtypes": ("float32",),
}
_PORTABLE = (
    Plan("indices"),
    Plan("indices", reduction="none", weight="weighted", ignore="ignore-255-some", smoothing=0.1),
    Plan("indices", reduction="sum", weight="weighted", ignore="ignore-inside-some", dtype="float16"),
    Plan("indices", rank=4, weight="weighted", ignore="ignore-default-some", smoothing=0.1),
    Plan("indices", ignore="ignore-default-all"),
    Plan("indices", rank=1),
    Plan("probabilities", weight="weighted", smoothing=0.1),
    Plan("probabilities", rank=3, reduction="none", profile="one-hot"),
)
_PORTABLE_HOSTILE = (
    "hostile/far-from-zero/indices/mean/smoothing-0/float32/int64",
    "hostile/sure-and-right/indices/none/smoothing-0/float32/int64",
    "hostile/minus-infinity-elsewhere/indices/none/smoothing-0/float32/int64",
    "hostile/minus-infinity-without-probability/probabilities/none/smoothing-0/float32",
    "error/target/equal-to-c",
    "error/reduction/unknown",
)


class Asking(NamedTuple):
    """A case and what it is for.

    Attributes:
        purpose: the check that it belongs to; "probe" where the case's id is the check's name.
        field, value: of "includes" and "excludes": the entry of capabilities, and the value that the case has.
    """

    case: Case
    purpose: Purpose
    field: str = ""
    value: Any = None


def cases(capabilities: Capabilities, sample: str | None, probes: Sequence[str]) -> list[Asking]:
    """All that is asked of an adapter.

    Args:
        capabilities: its own.
        sample: the tag of the cases that it runs; None where it runs all. Then its value is judged on some of these,
            and what its capabilities say is not asked about.
        probes: names of those that its worker knows.
    """
    found = [Asking(_probe(name), "probe") for name in probes]
    found += _sampled(sample) if sample else [*_plainest(capabilities), *_varied(capabilities)]
    found += [*_refused(capabilities), *_of_the_portable_loss()]
    if sample is None:
        return found
    return [one._replace(case=replace(one.case, tags=(*one.case.tags, sample))) for one in found]


def _probe(name: str) -> Case:
    return Case(name, Arguments(), np.zeros((1, 1), np.float32), np.zeros(1, np.int64), (tags.PROBE,), gradients=())


def _sampled(sample: str) -> Iterator[Asking]:
    own = [case for case in standard.cases() if sample in case.tags and _CAPABILITY not in case.tags]
    plainest = [case for case in own if set(case.tags) >= _PLAIN and not case.id.startswith("hostile/")]
    for case in (plainest or own)[:4]:
        yield Asking(replace(case, id=f"value/{case.id}"), "value")


def _first(capabilities: Capabilities, field: str, *preferred: Any) -> Any:
    """The first of these that the entry allows; of none, the first of these."""
    entry = getattr(capabilities, field)
    fitting = [value for value in preferred if entry is None or value in entry.allowed]
    return (fitting or [*preferred])[0]


def plain(capabilities: Capabilities, kind: str) -> Plan:
    """The plan of the plainest case with that kind of target: as near to 6x4 float32 logits and the mean as allowed."""
    rank = _first(capabilities, "input_ranks", 2, 3, 4, 5, 1)
    dtype = _first(capabilities, "input_dtypes", "float32", "float64", *dtypes.FLOATS)
    if kind == "indices":
        target_dtype = _first(capabilities, "index_dtypes", "int64", *dtypes.INTEGERS)
    else:
        target_dtype = _first(capabilities, "probability_dtypes", dtype, *dtypes.FLOATS)
    return Plan(
        kind, rank, _first(capabilities, "reductions", "mean", *REDUCTIONS), dtype=dtype, target_dtype=target_dtype,
        shape=(6, 4) if rank == 2 else None,
    )  # fmt: skip


def _plainest(capabilities: Capabilities) -> Iterator[Asking]:
    for kind in VOCABULARY["target_kinds"]:
        case = build(plain(capabilities, kind))
        if not _excluding(capabilities, case):
            yield Asking(replace(case, id=f"value/{kind}", gradients=("input",)), "value")


def _varied(capabilities: Capabilities) -> Iterator[Asking]:
    """For each field and value one case: of what is allowed, and of what the field alone excludes."""
    for field, vocabulary in VOCABULARY.items():
        entry = getattr(capabilities, field)
        if field == "input_ranks":
            vocabulary = _RANKS
        for value in _COMMON.get(field, vocabulary) if entry is None else vocabulary:
            for kind in VOCABULARY["target_kinds"]:
                case = _with(capabilities, kind, field, value)
                if case is None:
                    continue
                excluding = _excluding(capabilities, case)
                case = replace(case, id=f"capabilities/{field}/{value}/{kind}", tags=(*case.tags, _CAPABILITY))
                if not excluding:
                    yield Asking(case, "includes", field, value)
                elif excluding == {field}:
                    yield Asking(case, "excludes", field, value)


def _with(capabilities: Capabilities, kind: str, field: str, value: Any) -> Case | None:
    """The plainest case but for this value; None where no call of that kind has one.

    Where there can be one, input has the dtype that a weight or probabilities are asked about: mixtures are no matter.
    """
    base, gradients = plain(capabilities, kind), ("input",)
    indices = kind == "indices"
    if field == "input_dtypes":
        base = replace(base, dtype=value, target_dtype=base.target_dtype if indices else value)
    elif field == "input_ranks":
        base = replace(base, rank=value, shape=None)
    elif field == "index_dtypes" and indices:
        base = replace(base, target_dtype=value)
    elif field == "probability_dtypes" and not indices:
        base = replace(base, target_dtype=value, dtype=_first(capabilities, "input_dtypes", value, base.dtype))
    elif field == "weight_dtypes":
        own = _first(
            capabilities, "input_dtypes", value, base.dtype
        )  # a weight of input's dtype, where there can be one
        base = replace(base, weight=f"weighted-{value}", dtype=own, target_dtype=base.target_dtype if indices else own)
    elif field == "target_kinds" and value == kind:
        pass
    elif field == "reductions":
        base = replace(base, reduction=value)
    elif field == "ignored_rows" and indices and base.rank > 1:
        base = replace(base, ignore=f"ignore-default-{value}")
    elif field == "label_smoothing":
        base = replace(base, smoothing=0.1 if value == "nonzero" else 0.0)
    elif field == ("index_gradients" if indices else "probability_gradients"):
        base = replace(base, weight="weighted" if value == "weight" else "unweighted")
        gradients = (value,)
    else:
        return None
    return replace(build(base), gradients=gradients)


def _excluding(capabilities: Capabilities, case: Case) -> set[str]:
    """The fields that exclude the case, or the gradient that it asks for."""
    found = capabilities.findings(case.arguments, case.input, case.target)
    fields = {str(finding.entry) for finding in found}
    if capabilities.withheld(case.target, case.gradients):
        fields.add("probability_gradients" if dtypes.is_float(case.target) else "index_gradients")
    return fields


def _refused(capabilities: Capabilities) -> Iterator[Asking]:
    """What the specification refuses, in arguments that are otherwise the adapter's own."""
    own = plain(capabilities, "indices")
    wanted = {f"error/{name}": name for name in _REFUSALS}
    for case in refusals.cases():
        if case.id not in wanted:
            continue
        arguments = case.arguments
        if not wanted[case.id].startswith("reduction"):
            arguments = arguments._replace(reduction=own.reduction)
        target = case.target.astype(own.target_dtype)
        yield Asking(replace(case, id=f"refusals/{wanted[case.id]}", arguments=arguments, target=target), "refusals")


def _of_the_portable_loss() -> Iterator[Asking]:
    chosen = [build(plan) for plan in _PORTABLE]
    chosen += [case for case in (*hostile.cases(), *refusals.cases()) if case.id in _PORTABLE_HOSTILE]
    for case in chosen:
        more = (*case.tags, tags.FOR_PORTABLE, _CAPABILITY)
        yield Asking(replace(case, id=f"portable/{case.id}", gradients=(), tags=more), "portable")
