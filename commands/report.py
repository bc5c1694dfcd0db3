"""`xent report`: judges results files, from any machines, and merges them into one report."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from xent import adapters
from xent.commands.outcome import exit_code, finish
from xent.conformance import implementations
from xent.conformance.evidence import case_sets, columns, results
from xent.conformance.evidence.columns import Column
from xent.conformance.report import console as terminals
from xent.conformance.report import escape, files


def main(options: argparse.Namespace) -> int:
    """Judges and merges the results files that the options of `xent report` name. Returns the exit code."""
    console = terminals.make(stderr=True)
    files.check(Path(options.out))
    read = [results.read(path) for path in options.files]
    found = sorted(columns.of_evidence(read), key=lambda column: implementations.place(column.id))
    cases = case_sets.cases_of(read, options.vectors)
    merged = finish(cases, found, Path(options.out), console, as_json=options.json)
    for line in _other_adapters(found):
        console.print(escape.line(line), soft_wrap=True)
    return exit_code(merged, found, options.check, set())


def _other_adapters(found: Sequence[Column]) -> Iterator[str]:
    """Where xent's own adapter is another here than the one that made the evidence; it changes no verdict."""
    for column in found:
        made_by = column.results.header.adapter if column.results else None
        row = implementations.row(column.id)
        if made_by is None or row is None or made_by.module != row.implementation.module:
            continue
        if adapters.source_digest(adapters.load(row.implementation.module)) != made_by.sha256:
            yield f"{column.label}: made by another version of its adapter than the one here, which changes no verdict"
