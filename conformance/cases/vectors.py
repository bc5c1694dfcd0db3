"""Vector files, schema `xent-vectors/1`: cases with published results, written by hand or taken from the documents.

`read` is strict, because a typing error in a hand-written file must not turn into a verdict about a framework. It
checks by itself rather than by `schemas/xent-vectors-1.json` (which editors use), for the sake of messages that name
the place and the remedy; a test holds the two together.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from xent import dtypes, shapes
from xent.conformance.files import strict_json
from xent.conformance.files.strict_json import NotANumber, PathLike, Place, shown
from xent.conformance.protocol.arrays import MAX_ELEMENTS
from xent.conformance.protocol.case import DIFFERENTIABLE, ID, ID_RULE, Case, Expected
from xent.errors import UnreadableInput
from xent.spec import Arguments, arguments_from_dict

from . import clauses, vector_arrays

SCHEMA = "xent-vectors/1"
FOLDER = Path(__file__).resolve().parent.parent / "vectors"
_WHAT = f'a vector file ("schema": "{SCHEMA}")'
_NAME_RULE = f"Use {ID_RULE}."
_MAX_TEXT = 20_000  # characters of a note or a source
_MAX_NAMES = 200


def read(path: PathLike) -> List[Case]:
    """The cases of a vector file, in its order.

    A spec's values may be ones that the specification refuses, since a vector may test the refusal. Numbers are rounded
    from decimal to float64 and from there once to their dtype. The gradient is asked for wherever input is floating.

    Raises:
        UnreadableInput: naming the file, the place in it, the problem and what to do.
    """
    content = strict_json.load(path, _WHAT)
    top = Place(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        got = f"schema {shown(schema)}" if schema is not None else "no schema"
        remedy = f'A vector file starts {{"schema": "{SCHEMA}", "vectors": [...'
        top.refuse(f"not a vector file: {got} instead of {shown(SCHEMA)}", remedy)
    vectors = top.fields(content, ("schema", "vectors"))["vectors"]
    place = top.key("vectors")
    if not isinstance(vectors, list) or not vectors:
        place.refuse(f"must be a list of at least one vector, got {shown(vectors)}")
    seen: Dict[str, int] = {}
    cases = []
    for index, vector in enumerate(vectors):
        case = _case(vector, place.item(index), _file_name(path))
        if case.id in seen:
            place.item(index).key("id").refuse(
                f"{shown(case.id)} is the id of vectors[{seen[case.id]}] too", "Give every vector its own id."
            )
        seen[case.id] = index
        cases.append(case)
    return cases


def _file_name(path: PathLike) -> str:
    """As text, whatever bytes the name is made of."""
    return os.fsencode(os.path.basename(path)).decode("utf-8", "replace")


def document_vectors() -> List[Case]:
    """The vectors that ship with xent: every example of the five documents, the random ones with seeded values."""
    return [case for path in sorted(FOLDER.glob("*.json")) for case in read(path)]


def cases(paths: Sequence[PathLike]) -> List[Case]:
    """The cases of the vector files; where none is named, the built-in ones: the documents' and the standard cases.

    Raises:
        UnreadableInput: as `read` does, and where two files have a case of one id.
    """
    if not paths:
        from . import standard

        return [*document_vectors(), *standard.cases()]
    seen: Dict[str, PathLike] = {}
    found = []
    for path in paths:
        for case in read(path):
            if case.id in seen:
                raise UnreadableInput(path, case.id, f"this id stands in {os.fspath(seen[case.id])} too", "Rename one.")
            seen[case.id] = path
            found.append(case)
    return found


def _case(vector: Any, place: Place, default_source: str) -> Case:
    optional = ("source", "expected", "note", "clauses", "tags", "gradients")
    fields = place.fields(vector, ("id", "spec", "input", "target"), optional)
    name = _name(fields["id"], place.key("id"))
    arguments = _arguments(fields["spec"], place.key("spec"))
    input = vector_arrays.array(fields["input"], place.key("input"))
    target = vector_arrays.array(fields["target"], place.key("target"))
    expected = _expected(fields.get("expected"), place.key("expected"), arguments, input, target)
    place_of_gradients = place.key("gradients")
    if "gradients" in fields:
        gradients = _gradients(fields["gradients"], place_of_gradients, arguments, target)
        if expected is not None and expected.gradient is not None and "input" not in gradients:
            place_of_gradients.refuse("leaves out input, whose gradient is expected", 'Add "input".')
    else:  # a print of the value alone says nothing about the gradient; without a print the oracle judges both
        asked = dtypes.is_float(input) and (expected is None or expected.gradient is not None)
        gradients = ("input",) if asked else ()
    return Case(
        id=name,
        arguments=arguments,
        input=input,
        target=target,
        tags=_names(fields.get("tags", []), place.key("tags")),
        clauses=_clauses(fields.get("clauses", []), place.key("clauses")),
        gradients=gradients,
        expected=expected,
        source=place.key("source").string(fields.get("source", default_source), _MAX_TEXT),
        note=place.key("note").string(fields.get("note", ""), _MAX_TEXT),
    )


def _name(value: Any, place: Place) -> str:
    if not isinstance(value, str) or not ID.fullmatch(value):
        place.refuse(f"{shown(value)} is no name", _NAME_RULE)
    return value


def _names(value: Any, place: Place) -> Tuple[str, ...]:
    if not isinstance(value, list):
        place.refuse(f"must be a list of names, got {shown(value)}")
    place.items(value, _MAX_NAMES)
    seen: Set[str] = set()
    for index, item in enumerate(value):
        if _name(item, place.item(index)) in seen:
            place.item(index).refuse(f"{shown(item)} stands twice", "Keep one of them.")
        seen.add(item)
    return tuple(value)


def _gradients(value: Any, place: Place, arguments: Arguments, target: dtypes.Array) -> Tuple[str, ...]:
    names = _names(value, place)
    for index, name in enumerate(names):
        place.item(index).choice(name, DIFFERENTIABLE)
        if name == "target" and not dtypes.is_float(target):
            place.item(index).refuse("class indices have no gradient", "Give class probabilities, or leave it out.")
        if name == "weight" and arguments.weight is None:
            place.item(index).refuse("there is no weight in this spec", "Give one, or leave it out.")
    return tuple(name for name in DIFFERENTIABLE if name in names)


def _clauses(value: Any, place: Place) -> Tuple[str, ...]:
    names = _names(value, place)
    known = clauses.load()
    for index, name in enumerate(names):
        if name not in known:
            remedy = strict_json.did_you_mean(name, list(known)) or "The ids stand in conformance/cases/clauses.json."
            place.item(index).refuse(f"unknown clause {shown(name)}", remedy)
    return names


def _arguments(value: Any, place: Place) -> Arguments:
    fields = place.fields(value, (), Arguments._fields)
    for name in fields:
        at, item = place.key(name), fields[name]
        if isinstance(item, NotANumber):
            at.refuse(f"{shown(item)} is no JSON number", 'Write "nan", "inf" or "-inf" where you mean one of these.')
        if isinstance(item, str):
            at.string(item)
        elif name != "weight" and isinstance(item, (list, dict)):
            at.refuse(f"must be a single value, got {shown(item)}")
    weight = fields.get("weight")
    array = None if weight is None else vector_arrays.array(weight, place.key("weight"))
    return arguments_from_dict({**fields, "weight": None})._replace(weight=array)


def _expected(
    value: Any, place: Place, arguments: Arguments, input: dtypes.Array, target: dtypes.Array
) -> Optional[Expected]:
    if value is None:
        return None
    if isinstance(value, dict) and "raises" in value:
        if set(value) & {"value", "gradient", "atol", "rtol"}:
            place.refuse("says both that the call raises and what it returns", "Keep one of them.")
        if place.fields(value, ("raises",))["raises"] is not True:
            place.key("raises").refuse(f"must be true, got {shown(value['raises'])}", 'Leave "expected" out instead.')
        return Expected(raises=True)
    fields = place.fields(value, (), ("value", "gradient", "atol", "rtol"))
    if fields.get("value") is None and fields.get("gradient") is None:
        place.refuse("has neither a value nor a gradient", 'Write null, or {"raises": true}, or "value" or "gradient".')
    return Expected(
        value=_result(fields.get("value"), place.key("value"), _result_shape(arguments, target)),
        gradient=_result(fields.get("gradient"), place.key("gradient"), input.shape),
        atol=_tolerance(fields.get("atol", 0), place.key("atol")),
        rtol=_tolerance(fields.get("rtol", 0), place.key("rtol")),
    )


def _result_shape(arguments: Arguments, target: dtypes.Array) -> Optional[Tuple[int, ...]]:
    """The shape that S14 gives the loss; None where the reduction is one that the spec refuses."""
    if arguments.reduction in ("mean", "sum"):
        return ()
    if arguments.reduction != "none":
        return None
    return target.shape if dtypes.is_integer(target) else shapes.places(target.shape)


def _result(data: Any, place: Place, shape: Optional[Tuple[int, ...]]) -> Optional[dtypes.Array]:
    if data is None:
        return None
    found, entries = vector_arrays.flatten(data, place)
    if len(entries) > MAX_ELEMENTS:
        place.refuse(f"has {len(entries):,} entries, more than {MAX_ELEMENTS:,}")
    array = vector_arrays.floats(entries, "float64", found, place)
    if data == [] and shape is not None and 0 in shape:
        return np.zeros(shape)
    if shape is not None and found != shape:
        place.refuse(f"has shape {list(found)}, and the result of this call has shape {list(shape)}")
    return array


def _tolerance(value: Any, place: Place) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or value < 0:
        place.refuse(f"must be a number of at least 0, got {shown(value)}")
    return float(vector_arrays.floats([value], "float64", (), place))
