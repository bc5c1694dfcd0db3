"""The schema of vector files, which editors use, says the same as our reader, also of mutated files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vector_files import GOOD, SCHEMA, WRONG, changed

from xent.conformance.cases import vectors
from xent.errors import UnreadableInput

_STRUCTURE = jsonschema.Draft202012Validator(SCHEMA)


def test_the_shipped_vectors_follow_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for path in vectors.FOLDER.glob("*.json"):
        _STRUCTURE.validate(json.loads(path.read_text(encoding="utf-8")))


def test_the_good_file_follows_the_schema() -> None:
    _STRUCTURE.validate(GOOD)


# What a schema can't say: `read` refuses these too, and the schema doesn't.
BEYOND = (
    "ragged", "does not fit", "is no integer", "unknown clause", "is the id of", "surrogate", "result of this call",
    "the shape of data", "nests deeper", "is larger than the 4,194,304",
)  # fmt: skip
BEYOND_PYTHON = ("NaN", "Infinity", "0... is no float32 number")  # numbers to jsonschema, though not to JSON


@pytest.mark.parametrize(("steps", "value", "place", "words"), WRONG)
def test_the_schema_refuses_what_is_structural(steps: str, value: Any, place: str, words: str) -> None:
    if not any(phrase in words for phrase in BEYOND + BEYOND_PYTHON):
        assert not _STRUCTURE.is_valid(changed(steps, value))


_SCALARS = st.none() | st.booleans() | st.integers(-3, 300) | st.floats(-9, 9) | st.sampled_from(
    ["nan", "inf", "x", "", "float16", "uint8", "mean", "mint/input/dtype", "tag", "xent-vectors/1"]
)  # fmt: skip
_KEYS = st.sampled_from([
    "schema", "vectors", "id", "source", "spec", "input", "target", "expected", "note", "clauses", "tags", "weight",
    "reduction", "dtype", "data", "shape", "raises", "value", "gradient", "atol", "rtol", "other",
])  # fmt: skip
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """GOOD with one to three places replaced, added or removed."""
    content: Any = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        inner = content
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(inner[key], (dict, list)) and draw(st.integers(0, 3)):
                inner = inner[key]
                continue
            what = draw(st.sampled_from(["replace", "remove", "add"]))
            if what == "replace":
                inner[key] = draw(_VALUES)
            elif what == "remove":
                del inner[key]
            elif isinstance(inner, dict):
                inner[draw(_KEYS)] = draw(_VALUES)
            else:
                inner.insert(key, draw(_VALUES))
            break
    return content


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors") / "mutated.json"


def read_or_refused(path: Path) -> str | None:
    """None where the file was read, else the problem; any other exception goes through."""
    try:
        assert vectors.read(path)
    except UnreadableInput as error:
        return error.problem
    return None


@settings(max_examples=1000, deadline=None)
@given(content=mutated())
def test_a_mutated_file_is_read_or_refused_as_the_schema_says(scratch: Path, content: Any) -> None:
    scratch.write_text(json.dumps(content), encoding="utf-8")
    problem = read_or_refused(scratch)
    if problem is None:
        assert _STRUCTURE.is_valid(content), "the schema refuses what is read"
    elif not any(phrase in problem for phrase in BEYOND):
        assert not _STRUCTURE.is_valid(content), f"the schema allows what is refused: {problem}"


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_a_file_with_wrong_bytes_is_read_or_refused(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(json.dumps(GOOD).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    scratch.write_bytes(content)
    read_or_refused(scratch)
