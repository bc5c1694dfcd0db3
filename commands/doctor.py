"""`xent doctor`: which implementations can run here, in which interpreter, and what would mend the others."""

from __future__ import annotations

import argparse

from xent.commands import selection
from xent.conformance import implementations
from xent.conformance.report import console
from xent.conformance.report import doctor as rendering
from xent.conformance.running import doctor


def main(options: argparse.Namespace) -> int:
    """Examines what the options of `xent doctor` name. Returns the exit code."""
    found = doctor.find([*implementations.names(), *options.adapter])
    known = [one for one in found if not isinstance(one, doctor.Row)]
    rows = doctor.examine(selection.overrides(options.python, known), found)
    if options.json:
        print(rendering.to_json(rows))
    else:
        rendering.render(rows, console.make())
    return 0
