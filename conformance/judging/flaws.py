"""What can be noticed about evidence without running anything: each is named in the report, and fails ``--check``.

Nobody can tell from a file alone that a number in it was made up. But a file from which records were cut, to which some
were added, or that contradicts itself, gives itself away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from xent.conformance.evidence.records import Footer, Header, kernels_of
from xent.conformance.evidence.results import Results
from xent.conformance.protocol.case import Case

from .judge import CONTRADICTED

_SHOWN = 3
_SAMPLE = re.compile(r"only cases tagged (\S+) run")


def find(evidence: Results, cases: Sequence[Case]) -> list[str]:
    """What is wrong with it, each a clause, as evidence for these cases."""
    return [*_of_header(evidence.header), *_of_plan(evidence, cases), *_of_records(evidence, cases)]


def _of_header(header: Header) -> Iterator[str]:
    implementation, adapter = header.implementation, header.adapter
    plugin = adapter is not None and implementation.id == adapter.module
    if not plugin and not _is_named(implementation.id, implementation.name):
        yield f"the adapter's name {implementation.name!r} contradicts the id {implementation.id!r}"


def _is_named(id: str, name: str) -> bool:
    """Whether the id is the name, or the name with a mode, "+xent" or a version after it."""
    return bool(name) and id.startswith(name) and (id == name or id[len(name)] in "-+@")


def _of_plan(evidence: Results, cases: Sequence[Case]) -> Iterator[str]:
    header, footer = evidence.header, evidence.footer
    if header.case_set.count != len(cases):
        yield f"its header counts {header.case_set.count} cases, and the case set has {len(cases)}"
    sample = header.sample or _sample_of(footer)
    planned = {case.id for case in cases if sample is None or sample in case.tags}
    missing = [case.id for case in cases if case.id in planned and case.id not in evidence.by_case]
    left_out = sum(footer.left_out.values()) if footer is not None else 0
    if footer is not None and left_out != len(cases) - len(planned):
        yield f"its footer leaves out {left_out} cases, and {len(cases) - len(planned)} are outside of its sample"
    if missing:
        yield f"{len(missing)} of {len(planned)} planned cases have no record ({_some(missing)})"
    if footer is None:
        yield f"it is incomplete: {len(evidence.records)} of {len(planned)} planned cases are recorded, and no footer"


def _sample_of(footer: Footer | None) -> str | None:
    """The tag of the sample, from why cases were left out: the headers of the first schema don't say it."""
    reasons = list(footer.left_out) if footer is not None else []
    found = _SAMPLE.fullmatch(reasons[0]) if len(reasons) == 1 else None
    return found[1] if found else None


def _of_records(evidence: Results, cases: Sequence[Case]) -> Iterator[str]:
    known = {case.id: case for case in cases}
    if strange := [record.case for record in evidence.records if record.case not in known]:
        yield f"{len(strange)} records belong to no planned case ({_some(strange)})"
    capabilities = evidence.header.capabilities
    if capabilities is not None:
        contradicted = [
            record.case
            for record in evidence.records
            if record.outcome == "unsupported"
            and (case := known.get(record.case)) is not None
            and not capabilities.findings(case.arguments, case.input, case.target)
        ]
        if contradicted:
            yield f"{len(contradicted)} cases are {CONTRADICTED} ({_some(contradicted)})"
    kernels = kernels_of(evidence.records)
    if evidence.complete and evidence.header.implementation.kernels != kernels:
        said = evidence.header.implementation.kernels
        yield f"its header says that the kernels are {said!r}, and its records say {kernels!r}"


def _some(cases: Sequence[str]) -> str:
    return ", ".join(cases[:_SHOWN]) + (", ..." if len(cases) > _SHOWN else "")
