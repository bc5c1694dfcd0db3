"""A right vector file, and the ways to make it wrong, for those who read it and for the schema."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "conformance" / "schemas" / "xent-vectors-1.json").read_text(encoding="utf-8"))
GOOD: dict[str, Any] = {
    "schema": "xent-vectors/1",
    "vectors": [
        {
            "id": "mine/one",
            "spec": {"weight": {"dtype": "float32", "data": [1, 2.5, 0]}, "reduction": "none"},
            "input": {"dtype": "float32", "data": [[0.1, "-inf", 3], [4, 5, 6]]},
            "target": {"dtype": "int32", "data": [0, 2]},
            "expected": {"value": [1, "nan"], "gradient": None, "atol": 5e-5},
            "clauses": ["mint/input/dtype"],
            "tags": ["mine"],
        },
        {
            "id": "mine/refused",
            "source": "by hand",
            "note": "out of range",
            "spec": {"label_smoothing": 1.1},
            "input": {"dtype": "bfloat16", "data": [0, 1]},
            "target": {"dtype": "int64", "data": 7},
            "expected": {"raises": True},
        },
    ],
}
WRONG: list[tuple[str, Any, str, str]] = [  # what is set to what; the place named; words of the message
    ("schema", "xent-vectors/2", "", 'schema "xent-vectors/2" instead of "xent-vectors/1"'),
    ("schema", ["xent-vectors/1"], "", "not a vector file: schema a list of 1"),
    ("vectors", [], "vectors", "at least one vector"),
    ("vectors", {}, "vectors", "must be a list"),
    ("vectors[1]", 3, "vectors[1]", "must be an object, got 3"),
    ("vectorz", [], "", 'unknown field "vectorz". Did you mean "vectors"?'),
    ("vectors[0].expcted", None, "vectors[0]", 'unknown field "expcted". Did you mean "expected"?'),
    ("vectors[0].input", {"dtype": "float32"}, "vectors[0].input", 'the field "data" is missing'),
    ("vectors[0].id", "-mine", "vectors[0].id", '"-mine" is no name. Use letters'),
    ("vectors[0].id", "mine\n", "vectors[0].id", "is no name"),
    ("vectors[0].id", None, "vectors[0].id", "null is no name"),
    ("vectors[1].id", "mine/one", "vectors[1].id", '"mine/one" is the id of vectors[0] too'),
    ("vectors[0].source", 3, "vectors[0].source", "must be text, got 3"),
    ("vectors[0].note", "\ud800", "vectors[0].note", "half a surrogate pair"),
    ("vectors[0].spec", None, "vectors[0].spec", "must be an object, got null"),
    ("vectors[0].spec.smoothing", 0.1, "vectors[0].spec", 'unknown field "smoothing". Did you mean "label_smoothing"?'),
    ("vectors[0].spec.reduction", ["mean"], "vectors[0].spec.reduction", "must be a single value, got a list of 1"),
    ("vectors[0].spec.reduction", "\udfff", "vectors[0].spec.reduction", "half a surrogate pair"),
    ("vectors[0].spec.weight", [1, 2, 3], "vectors[0].spec.weight", "must be an object, got a list of 3"),
    ("vectors[0].spec.weight.data[1]", "1", "vectors[0].spec.weight.data[1]", '"1" is no float32 number'),
    ("vectors[0].input.dtype", "floot32", "vectors[0].input.dtype", 'unknown dtype "floot32". Did you mean "float32"?'),
    ("vectors[0].input.dtype", "bool", "vectors[0].input.dtype", 'unknown dtype "bool"'),
    ("vectors[0].input.dtype", 32, "vectors[0].input.dtype", "unknown dtype 32. Known: float16"),
    ("vectors[0].input.data[1]", [4, 5], "vectors[0].input.data[1]", "ragged data: shape [2] where [0] has shape [3]"),
    ("vectors[0].input.data[1]", 4, "vectors[0].input.data[1]", "ragged data: 4 where [0] is a list"),
    ("vectors[0].input.data[0]", 4, "vectors[0].input.data[1]", "ragged data: a list of 3 where [0] is a single value"),
    ("vectors[0].input.data[1][2]", [6], "vectors[0].input.data[1][2]", "ragged data"),
    ("vectors[0].input.data[1][2]", True, "vectors[0].input.data[1][2]", "true is no float32 number"),
    ("vectors[0].input.data[1][2]", None, "vectors[0].input.data[1][2]", "null is no float32 number"),
    ("vectors[0].input.data[1][2]", {}, "vectors[0].input.data[1][2]", "an object of 0 is no float32 number"),
    ("vectors[0].input.data[1][2]", "Infinity", "vectors[0].input.data[1][2]", '"nan", "inf", "-inf" in quotes'),
    ("vectors[0].input.data[1][2]", float("nan"), "vectors[0].input.data[1][2]", "NaN is no float32 number"),
    ("vectors[0].input.data[1][2]", float("-inf"), "vectors[0].input.data[1][2]", "-Infinity is no float32 number"),
    ("vectors[0].input.data[1][2]", 1e39, "vectors[0].input.data[1][2]", "1e+39 does not fit float32"),
    ("vectors[0].input.data[1][2]", 10**350, "vectors[0].input.data[1][2]", "does not fit float32"),
    ("vectors[0].input.data[1][2]", 10**4000, "vectors[0].input.data[1][2]", "0... is no float32 number"),
    ("vectors[0].input.shape", [3, 2], "vectors[0].input.shape", "[3, 2] is not the shape of data, [2, 3]"),
    ("vectors[0].input.shape", [0, 3], "vectors[0].input.shape", "[0, 3] is not the shape of data, [2, 3]"),
    ("vectors[0].input.shape", [2, -3], "vectors[0].input.shape[1]", "must be a length"),
    ("vectors[0].input.shape", [True], "vectors[0].input.shape[0]", "must be a length"),
    ("vectors[0].input.shape", [0] * 33, "vectors[0].input.shape", "at most 32 lengths"),
    ("vectors[0].input.shape", [0, 2**31 - 1, 2], "vectors[0].input.shape[1]", "must be a length from 0 to 4,194,304"),
    ("vectors[0].input.shape", [2_000_000, 0, 3], "vectors[0].input.shape", "is larger than the 4,194,304 elements"),
    ("vectors[0].target.data[1]", 2**31, "vectors[0].target.data[1]", "2147483648 does not fit int32. It holds -2147"),
    ("vectors[0].target.data[1]", 1.0, "vectors[0].target.data[1]", "1.0 is no integer, and dtype is int32. Write 1."),
    ("vectors[0].target.data[1]", 1.5, "vectors[0].target.data[1]", "1.5 is no integer"),
    ("vectors[0].target.data[1]", False, "vectors[0].target.data[1]", "false is no integer"),
    ("vectors[0].target.data[1]", "nan", "vectors[0].target.data[1]", '"nan" is no integer'),
    ("vectors[1].target.data", True, "vectors[1].target.data", "true is no integer"),
    ("vectors[0].expected", {"raises": True, "value": 1}, "vectors[0].expected", "both that the call raises and what"),
    ("vectors[0].expected", {"raises": False}, "vectors[0].expected.raises", "must be true, got false"),
    ("vectors[0].expected", {"raises": 1}, "vectors[0].expected.raises", "must be true, got 1"),
    ("vectors[0].expected", {}, "vectors[0].expected", "neither a value nor a gradient"),
    ("vectors[0].expected", [1, 2], "vectors[0].expected", "must be an object, got a list of 2"),
    ("vectors[0].expected.value", [1, 2, 3], "vectors[0].expected.value", "has shape [3], and the result of this call"),
    (
        "vectors[0].expected.value",
        1,
        "vectors[0].expected.value",
        "has shape [], and the result of this call has shape [2]",
    ),
    ("vectors[0].expected.value", [1, [2]], "vectors[0].expected.value[1]", "ragged"),
    ("vectors[0].expected.value", [1, "big"], "vectors[0].expected.value[1]", '"big" is no float64 number'),
    (
        "vectors[0].expected.gradient",
        [[1, 2, 3]],
        "vectors[0].expected.gradient",
        "has shape [1, 3], and the result of this call",
    ),
    ("vectors[0].expected.atol", -1, "vectors[0].expected.atol", "must be a number of at least 0, got -1"),
    ("vectors[0].expected.atol", True, "vectors[0].expected.atol", "must be a number"),
    ("vectors[0].expected.rtol", "0", "vectors[0].expected.rtol", "must be a number"),
    ("vectors[0].expected.rtol", float("nan"), "vectors[0].expected.rtol", "must be a number of at least 0, got NaN"),
    (
        "vectors[0].clauses[0]",
        "mint/input/dtyp",
        "vectors[0].clauses[0]",
        'unknown clause "mint/input/dtyp". Did you mean "mint/input/dtype"?',
    ),
    ("vectors[0].clauses[0]", "zzz", "vectors[0].clauses[0]", 'unknown clause "zzz"'),
    ("vectors[0].clauses", "mint/input/dtype", "vectors[0].clauses", "must be a list of names"),
    ("vectors[0].tags", ["a", "a"], "vectors[0].tags[1]", '"a" stands twice'),
    ("vectors[0].tags", [""], "vectors[0].tags[0]", "is no name"),
]


def changed(steps: str, value: Any) -> dict[str, Any]:
    """GOOD with one value set, the steps written as in a message: `vectors[0].input.data[1]`."""
    content = copy.deepcopy(GOOD)
    *way, last = (int(step) if step.isdigit() else step for step in re.findall(r"\w+", steps))
    inner: Any = content
    for step in way:
        inner = inner[step]
    inner[last] = value
    return content
