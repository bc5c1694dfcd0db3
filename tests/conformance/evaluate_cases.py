"""Runs an adapter on cases in its framework's interpreter: evaluate_cases.py MODULE CASES OUT."""

from __future__ import annotations

import json
import sys

from xent import adapters
from xent.conformance.protocol import arrays, case_file


def main(module: str, cases: str, out: str) -> None:
    adapter = adapters.load(module)
    with open(out, "w") as file:
        for case in case_file.read(cases):
            found = adapter.evaluate(case.arguments, case.input, case.target, gradient=case.gradient)
            record = {"case": case.id, "outcome": "value", "value": arrays.encode(found.value), "gradient": None}
            if found.gradient is not None:
                record["gradient"] = arrays.encode(found.gradient)
            print(json.dumps(record), file=file)


if __name__ == "__main__":
    main(*sys.argv[1:])
