"""Cases on their way to a worker: one safetensors file, inputs shipped as bytes and never regenerated.

Tensors are named ``ID#input``, ``ID#target``, ``ID#weight`` and, where published, ``ID#value`` and ``ID#gradient``;
all else is JSON under ``__metadata__["xent"]``. A non-contiguous array travels as its C-contiguous base with the order
of its axes, so that it is as non-contiguous on arrival.

Runs in a worker: `read` needs the standard library and NumPy only, Python 3.8, NumPy 1.19. `write` is the tool's.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

import numpy as np

from xent import dtypes
from xent.adapters import layout
from xent.errors import SpecError, UnreadableInput
from xent.spec import arguments_from_dict, arguments_to_dict

from .arrays import MAX_RANK
from .case import Case, Expected

SCHEMA = "xent-cases/1"
_CODES = {
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "bool": "BOOL",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
}  # fmt: skip
_NAMES = {code: name for name, code in _CODES.items()}
_MAX_HEADER = 100_000_000  # the safetensors package's own limit
_FIELDS = {"id", "arguments", "axes", "tags", "clauses", "gradient", "expected", "source", "note"}
_REMEDY = "The tool writes this file before it starts a worker: start the run again."

PathLike = Union[str, "os.PathLike[str]"]


def write(path: PathLike, cases: Iterable[Case]) -> None:
    """Writes the cases, atomically: the file is there whole or not at all.

    Raises:
        ValueError: two cases of one id, or a dtype that safetensors doesn't have.
        OSError: the file can't be written.
    """
    from safetensors.numpy import save  # the tool's interpreter has it, a worker's need not

    tensors: Dict[str, dtypes.Array] = {}
    described: List[Dict[str, Any]] = []
    for case in cases:
        if f"{case.id}#input" in tensors:
            raise ValueError(f"two cases have the id {case.id}")
        axes: Dict[str, List[int]] = {}
        for role, array in _arrays(case):
            if dtypes.name(array) not in _CODES:
                raise ValueError(f"case {case.id}: {role} has dtype {dtypes.name(array)}, which can't be shipped")
            base, order = layout(array)
            tensors[f"{case.id}#{role}"] = base
            axes[role] = list(order)
        described.append(_describe(case, axes))
    metadata = {"xent": json.dumps({"schema": SCHEMA, "cases": described})}
    write_atomically(path, save(tensors, metadata=metadata))


def read(path: PathLike) -> List[Case]:
    """The cases that `write` was given, in its order, every array writable and with memory of its own.

    Raises:
        UnreadableInput: the file can't be read or is not what `write` makes; nothing in it is executed or trusted.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableInput(path, None, f"can't be read ({error.strerror or error})", _REMEDY) from error
    try:
        tensors, described = _parse(data)
        cases = [_case(entry, tensors) for entry in described]
        if tensors:
            raise ValueError(f"tensor {next(iter(tensors))!r} belongs to no case")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError, SpecError) as error:
        problem = f"is no case file ({type(error).__name__}: {str(error)[:300]})"
        raise UnreadableInput(path, None, problem, _REMEDY) from error
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
        "gradient": case.gradient,
        "expected": expected and {"atol": expected.atol, "rtol": expected.rtol, "raises": expected.raises},
        "source": case.source,
        "note": case.note,
    }


def write_atomically(path: PathLike, data: bytes) -> None:
    """The file holds all of the data and is on the disk, or it is as it was. Raises OSError."""
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _parse(data: bytes) -> Tuple[Dict[str, dtypes.Array], List[Dict[str, Any]]]:
    """The tensors by name and the description of the cases."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, _MAX_HEADER):
        raise ValueError(f"{len(data)} bytes, and a header of {size}")
    header = json.loads(data[8 : 8 + size].decode("utf-8"), object_pairs_hook=_unique)
    description = json.loads(header.pop("__metadata__")["xent"], object_pairs_hook=_unique)
    if description.get("schema") != SCHEMA or not isinstance(description["cases"], list):
        raise ValueError(f"schema is {str(description.get('schema'))[:40]!r}, not {SCHEMA!r}")
    body = memoryview(data)[8 + size :]
    tensors: Dict[str, dtypes.Array] = {}
    reached = 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(*item)):
        begin, end = _offsets(name, entry)
        if begin != reached or end > len(body):
            raise ValueError(f"tensor {name!r} has bytes {begin} to {end}, where {reached} of {len(body)} come next")
        tensors[name] = _tensor(name, entry, bytes(body[begin:end]))
        reached = end
    if reached != len(body):
        raise ValueError(f"{len(body) - reached} bytes belong to no tensor")
    return tensors, description["cases"]


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return result


def _offsets(name: str, entry: Any) -> Tuple[int, int]:
    offsets = entry["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(offset) is int for offset in offsets):
        raise ValueError(f"tensor {name!r} has data_offsets {str(offsets)[:80]}")
    if not 0 <= offsets[0] <= offsets[1]:
        raise ValueError(f"tensor {name!r} has data_offsets {str(offsets)[:80]}")
    return offsets[0], offsets[1]


def _tensor(name: str, entry: Dict[str, Any], data: bytes) -> dtypes.Array:
    if entry["dtype"] not in _NAMES:
        raise ValueError(f"tensor {name!r} has dtype {str(entry['dtype'])[:40]!r}")
    kind, shape = _NAMES[entry["dtype"]], entry["shape"]
    if len(shape) > MAX_RANK or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise ValueError(f"tensor {name!r} has shape {str(shape)[:80]}")
    stored = np.dtype("<u2") if kind == "bfloat16" else dtypes.dtype(kind).newbyteorder("<")
    flat = np.frombuffer(data, dtype=np.uint8 if kind == "bool" else stored)
    if kind == "bool" and (flat > 1).any():
        raise ValueError(f"tensor {name!r} holds bytes that are neither true nor false")
    flat = dtypes.from_bits(flat, kind) if kind == "bfloat16" else flat.astype(dtypes.dtype(kind))
    array: dtypes.Array = flat.reshape(shape)
    return array


def _case(entry: Dict[str, Any], tensors: Dict[str, dtypes.Array]) -> Case:
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise ValueError("a case has other fields than " + ", ".join(sorted(_FIELDS)))
    name = entry["id"]
    arrays = {role: tensors.pop(f"{name}#{role}").transpose(axes) for role, axes in entry["axes"].items()}
    expected = entry["expected"]
    if expected is not None:
        expected = Expected(value=arrays.pop("value", None), gradient=arrays.pop("gradient", None), **expected)
    arguments = arguments_from_dict(entry["arguments"])._replace(weight=arrays.pop("weight", None))
    return Case(
        id=name,
        arguments=arguments,
        input=arrays.pop("input"),
        target=arrays.pop("target"),
        tags=tuple(entry["tags"]),
        clauses=tuple(entry["clauses"]),
        gradient=bool(entry["gradient"]),
        expected=expected,
        source=str(entry["source"]),
        note=str(entry["note"]),
    )
