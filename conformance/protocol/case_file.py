"""Cases on their way to a worker: one safetensors file, inputs shipped as bytes and never regenerated.

Tensors are named ``ID#input``, ``ID#target``, ``ID#weight`` and, where published, ``ID#value`` and ``ID#gradient``;
all else is JSON under ``__metadata__["xent"]``. A non-contiguous array travels as its C-contiguous base with the order
of its axes, so that it is as non-contiguous on arrival.

Runs in a worker: `read` needs the standard library and NumPy only, Python 3.8, NumPy 1.19. `write` is the tool's.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from xent import dtypes
from xent.conformance.files import strict_json
from xent.conformance.files.atomic import write_atomically
from xent.conformance.files.reading import read_file
from xent.conformance.files.strict_json import NotANumber, Place, shown
from xent.errors import UnreadableInput
from xent.layout import layout
from xent.spec import Arguments, arguments_from_dict, arguments_to_dict

from .arrays import MAX_RANK, check_shape
from .case import DIFFERENTIABLE, ID, ID_RULE, Case, Expected

SCHEMA = "xent-cases/2"
_READS = (SCHEMA, "xent-cases/1")  # which had "gradient": true or false in the place of "gradients"
_CODES = {
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "bool": "BOOL",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
}  # fmt: skip
_NAMES = {code: name for name, code in _CODES.items()}
MAX_BYTES = 256 * 2**20
"""Of a case file: with every array copied once, reading it stays below 1 GB."""
_MAX_HEADER = strict_json.MAX_BYTES
_MAX_NAMES = 200  # tags or clauses of a case
_MAX_WORD = 300  # characters of one
_FIELDS = ("id", "arguments", "axes", "tags", "clauses", "gradients", "expected", "source", "note")
_ROLES = ("input", "target", "weight", "value", "gradient")
_WHAT = "a case file (cases.safetensors)"
_REMEDY = "Take the one that the run wrote, or run again into a new folder."

PathLike = Union[str, "os.PathLike[str]"]


def unshippable(case: Case) -> str:
    """Why the case can't be shipped, a clause; empty where it can."""
    for role, array in _arrays(case):
        if dtypes.name(array) not in _CODES:
            return f"{role} has dtype {dtypes.name(array)}, which can't be shipped"
        try:
            check_shape(array.shape)
        except ValueError as error:
            return f"{role} can't be shipped: its shape {error}"
    return ""


def write(path: PathLike, cases: Iterable[Case]) -> None:
    """Writes the cases, atomically: the file is there whole or not at all.

    Raises:
        ValueError: two cases of one id, one that can't be shipped, or more of them than `read` takes.
        OSError: the file can't be written.
    """
    from safetensors.numpy import save  # the tool's interpreter has it, a worker's need not

    tensors: Dict[str, dtypes.Array] = {}
    described: List[Dict[str, Any]] = []
    for case in cases:
        if f"{case.id}#input" in tensors:
            raise ValueError(f"two cases have the id {case.id}")
        if why := unshippable(case):
            raise ValueError(f"case {case.id}: {why}")
        axes: Dict[str, List[int]] = {}
        for role, array in _arrays(case):
            base, order = layout(array)
            tensors[f"{case.id}#{role}"] = base
            axes[role] = list(order)
        described.append(_describe(case, axes))
    metadata = {"xent": strict_json.dumps({"schema": SCHEMA, "cases": described})}
    data = save(tensors, metadata=metadata)
    if len(data) > MAX_BYTES or int.from_bytes(data[:8], "little") > _MAX_HEADER:
        raise ValueError(f"{len(described)} cases take {len(data):,} bytes, more than a case file may have")
    write_atomically(path, data)


def read(path: PathLike) -> List[Case]:
    """The cases that `write` was given, in its order, every array writable and with memory of its own.

    Raises:
        UnreadableInput: the file can't be read or is not what `write` makes; nothing in it is executed or trusted.
    """
    data = read_file(path, _WHAT, MAX_BYTES, _REMEDY)
    try:
        return _read(data, Place(path))
    except UnreadableInput as error:
        raise UnreadableInput(path, error.place, error.problem, error.remedy or _REMEDY) from error


def _read(data: bytes, top: Place) -> List[Case]:
    tensors, described, schema = _parse(data, top)
    place = top.key("cases")
    seen: Dict[str, int] = {}
    cases = []
    for index, entry in enumerate(described):
        case = _case(entry, place.item(index), tensors, schema)
        if case.id in seen:
            place.item(index).refuse(f"{shown(case.id)} is the id of cases[{seen[case.id]}] too")
        seen[case.id] = index
        cases.append(case)
    for name in tensors:
        top.refuse(f"the tensor {shown(name)} belongs to no case")
    return cases


def _arrays(case: Case) -> List[Tuple[str, dtypes.Array]]:
    arrays: List[Tuple[str, Optional[dtypes.Array]]] = [
        ("input", case.input),
        ("target", case.target),
        ("weight", case.arguments.weight),
    ]
    if case.expected is not None:
        for role in ("value", "gradient"):
            array = getattr(case.expected, role)
            arrays.append((role, None if array is None else np.asarray(array, dtype=np.float64)))
    return [(role, array) for role, array in arrays if array is not None]


def _describe(case: Case, axes: Dict[str, List[int]]) -> Dict[str, Any]:
    expected = case.expected
    return {
        "id": case.id,
        "arguments": arguments_to_dict(case.arguments._replace(weight=None)),
        "axes": axes,
        "tags": list(case.tags),
        "clauses": list(case.clauses),
        "gradients": list(case.gradients),
        "expected": expected and {"atol": expected.atol, "rtol": expected.rtol, "raises": expected.raises},
        "source": case.source,
        "note": case.note,
    }


class _Tensor(NamedTuple):
    """One of the file's tensors: where its bytes stand, and how to read them."""

    name: str
    begin: int
    end: int
    kind: str
    shape: Tuple[int, ...]


def _parse(data: bytes, top: Place) -> Tuple[Dict[str, dtypes.Array], List[Any], str]:
    """The tensors by name, the descriptions of the cases, and the schema."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        top.refuse(f"is no case file ({len(data)} bytes, and a header of {size})")
    if size > _MAX_HEADER:
        top.refuse(f"has a header of {size:,} bytes, more than {_MAX_HEADER:,}")
    place = top.key("header")
    header = place.mapping(strict_json.parse(data[8 : 8 + size], place, _WHAT), _MAX_HEADER)
    metadata = place.key("__metadata__").fields(header.pop("__metadata__", None), ("xent",))
    place = place.key("__metadata__").key("xent")
    description = strict_json.parse(place.string(metadata["xent"]).encode(), place, _WHAT)
    schema = description.get("schema") if isinstance(description, dict) else None
    if not isinstance(schema, str) or schema not in _READS:
        place.refuse(f"the schema is {shown(schema)}, and this version reads {', '.join(_READS)}")
    described = place.key("cases").items(place.fields(description, ("schema", "cases"))["cases"])
    body = memoryview(data)[8 + size :]
    found = sorted((_tensor(name, header[name], top.key(name)) for name in header), key=lambda one: one[1:3])
    tensors: Dict[str, dtypes.Array] = {}
    reached = 0
    for one in found:
        if one.begin != reached or one.end > len(body):
            problem = f"has bytes {one.begin} to {one.end}, where {reached} of {len(body)} come next"
            top.key(one.name).refuse(problem)
        tensors[one.name] = _array(one, body[one.begin : one.end], top.key(one.name))
        reached = one.end
    if reached != len(body):
        top.refuse(f"{len(body) - reached} bytes belong to no tensor")
    return tensors, described, schema


def _tensor(name: str, entry: Any, place: Place) -> _Tensor:
    fields = place.fields(entry, ("dtype", "shape", "data_offsets"))
    kind = _NAMES[place.key("dtype").choice(fields["dtype"], list(_NAMES))]
    at = place.key("data_offsets")
    offsets = [at.item(index).count(value) for index, value in enumerate(at.items(fields["data_offsets"], 2))]
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        at.refuse(f"must be where the bytes begin and end, got {offsets}")
    at = place.key("shape")
    shape = tuple(at.item(index).count(value) for index, value in enumerate(at.items(fields["shape"], MAX_RANK)))
    try:
        check_shape(shape)
    except ValueError as error:
        at.refuse(str(error))
    return _Tensor(name, offsets[0], offsets[1], kind, shape)


def _array(one: _Tensor, data: memoryview, place: Place) -> dtypes.Array:
    stored = np.dtype("<u2") if one.kind == "bfloat16" else dtypes.dtype(one.kind).newbyteorder("<")
    count = int(np.prod(one.shape, dtype=np.int64))
    if len(data) != count * stored.itemsize:
        place.refuse(f"has {len(data)} bytes for {count} elements of {one.kind}")
    flat = np.frombuffer(data, dtype=np.uint8 if one.kind == "bool" else stored)
    if one.kind == "bool" and (flat > 1).any():
        place.refuse("holds bytes that are neither true nor false")
    flat = dtypes.from_bits(flat, one.kind) if one.kind == "bfloat16" else flat.astype(dtypes.dtype(one.kind))
    array: dtypes.Array = flat.reshape(one.shape)
    return array


def _case(entry: Any, place: Place, tensors: Dict[str, dtypes.Array], schema: str) -> Case:
    names = _FIELDS if schema == SCHEMA else tuple("gradient" if name == "gradients" else name for name in _FIELDS)
    fields = place.fields(entry, names)
    name = place.key("id").match(fields["id"], ID, ID_RULE)
    arrays = _arrays_of(name, fields["axes"], place.key("axes"), tensors)
    for role in ("input", "target"):
        if role not in arrays:
            place.key("axes").refuse(f"there is no {role}")
    expected = _expected(fields["expected"], place.key("expected"), arrays.get("value"), arrays.get("gradient"))
    return Case(
        id=name,
        arguments=_arguments(fields["arguments"], place.key("arguments"), arrays.get("weight")),
        input=arrays["input"],
        target=arrays["target"],
        tags=_words(fields["tags"], place.key("tags")),
        clauses=_words(fields["clauses"], place.key("clauses")),
        gradients=_gradients(fields, place),
        expected=expected,
        source=place.key("source").string(fields["source"]),
        note=place.key("note").string(fields["note"]),
    )


def _arrays_of(name: str, axes: Any, place: Place, tensors: Dict[str, dtypes.Array]) -> Dict[str, dtypes.Array]:
    """The case's arrays by role, each in its memory order; they are taken out of `tensors`."""
    arrays = {}
    for role, value in place.mapping(axes, len(_ROLES)).items():
        at = place.key(place.choice(role, _ROLES))
        array = tensors.pop(f"{name}#{role}", None)
        if array is None:
            at.refuse(f"there is no tensor {shown(f'{name}#{role}')}")
        order = [at.item(index).count(axis) for index, axis in enumerate(at.items(value, MAX_RANK))]
        if sorted(order) != list(range(array.ndim)):
            at.refuse(f"{order} is no order of {array.ndim} axes")
        arrays[role] = array.transpose(order)
    return arrays


def _arguments(value: Any, place: Place, weight: Optional[dtypes.Array]) -> Arguments:
    """As written, not validated, but values that JSON has: a single one each."""
    fields = place.fields(value, Arguments._fields)
    for name, item in fields.items():
        at = place.key(name)
        if isinstance(item, (list, dict, NotANumber)) or (name == "weight" and item is not None):
            at.refuse(f"must be {'null' if name == 'weight' else 'a single value'}, got {shown(item)}")
        if isinstance(item, str):
            at.string(item)
    return arguments_from_dict(fields)._replace(weight=weight)


def _words(value: Any, place: Place) -> Tuple[str, ...]:
    return tuple(place.item(i).string(word, _MAX_WORD) for i, word in enumerate(place.items(value, _MAX_NAMES)))


def _gradients(fields: Dict[str, Any], place: Place) -> Tuple[str, ...]:
    if "gradient" in fields:
        return ("input",) if place.key("gradient").boolean(fields["gradient"]) else ()
    at = place.key("gradients")
    items: Sequence[Any] = at.items(fields["gradients"], len(DIFFERENTIABLE))
    names = tuple(at.item(index).choice(item, DIFFERENTIABLE) for index, item in enumerate(items))
    if names != tuple(name for name in DIFFERENTIABLE if name in names):
        at.refuse(f"are of {', '.join(DIFFERENTIABLE)}, in that order, got {shown(list(names))}")
    return names


def _expected(
    value: Any, place: Place, result: Optional[dtypes.Array], gradient: Optional[dtypes.Array]
) -> Optional[Expected]:
    if value is None:
        if result is not None or gradient is not None:
            place.refuse("is null, and there is a result")
        return None
    fields = place.fields(value, ("atol", "rtol", "raises"))
    for array in (result, gradient):
        if array is not None and dtypes.name(array) != "float64":
            place.refuse(f"a result has dtype {dtypes.name(array)}, not float64")
    raises = place.key("raises").boolean(fields["raises"])
    if raises and not (result is None and gradient is None):
        place.key("raises").refuse("is true, and there is a result")
    atol, rtol = (place.key(name).number(fields[name]) for name in ("atol", "rtol"))
    return Expected(result, gradient, atol, rtol, raises)
