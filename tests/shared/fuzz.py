"""Feeds a reader inputs that were right once: ``python fuzz.py READER COUNT SEED``; prints what its process needed.

An input is made of a good one by a few changes: of its structure (a value for another, a field gone, doubled or
strange, nesting, huge numbers, half a surrogate pair) or of its bytes (cut, doubled, flipped, a header that lies about
its length). A reader may take it or refuse it with UnreadableInput; it may do nothing else, in 10 seconds an input.
"""

from __future__ import annotations

import copy
import json
import random
import signal
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peak import peak_kib

from xent.conformance.cases import vectors
from xent.conformance.evidence import columns, record_json, records, results
from xent.conformance.files.strict_json import Place
from xent.conformance.judging.columns import judge_columns
from xent.conformance.protocol import case_file
from xent.conformance.protocol.case import Case, Expected
from xent.conformance.report import files, model
from xent.conformance.running import journal
from xent.errors import UnreadableInput
from xent.spec import Arguments

SECONDS = 10
HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "a", "\ud800", "\x00", "\x1b[31m", "\u202e", "../../up", "<script>", "x" * 5000, "mean", "float32", "input",
    "-inf", "0x1p+0", [], {}, [[]], [None], ["a"], [0], [2_000_000_000, 0], [1] * 40, {"a": 1},
    [[[[[[[[[[1]]]]]]]]]], ["nan"] * 2000,
]  # fmt: skip


def mutated(rng: random.Random, content: Any) -> Any:
    """The content with one to three changes somewhere in it."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        holders = list(_holders(content))
        if not holders:
            return rng.choice(HOSTILE)
        holder = rng.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = rng.choice(keys)
        way = rng.randrange(6)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[rng.choice(("extra", "", "\ud800", "id", "case", str(key).upper()))] = rng.choice(HOSTILE)
        elif way == 2 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif way == 3:
            holder[key] = [holder[key]]
        elif way == 4 and isinstance(holder[key], str):
            at = rng.randrange(len(holder[key]) + 1)
            holder[key] = (
                holder[key][:at] + rng.choice(("\x1b", "\ud83d", "[/]", "é", " ", "9" * 30)) + holder[key][at:]
            )
        else:
            holder[key] = copy.deepcopy(rng.choice(HOSTILE))
    return content


def _holders(content: Any):
    if isinstance(content, (dict, list)) and content:
        yield content
        for value in content.values() if isinstance(content, dict) else content:
            yield from _holders(value)


def text(rng: random.Random, content: Any) -> bytes:
    """As JSON, mostly well-formed; a repeated field, or deep nesting, now and then."""
    data = json.dumps(content).encode("utf-8", "surrogatepass")
    if rng.random() < 0.03:
        data = data.replace(b"{", b'{"id": 1, "id": 2, ', 1)
    if rng.random() < 0.02:
        data = data.replace(b"[", b"[" * 100_000, 1)
    return damaged(rng, data) if rng.random() < 0.15 else data


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Cut, doubled, flipped, or with bytes put in."""
    if not data:
        return data
    at = rng.randrange(len(data))
    way = rng.randrange(5)
    if way == 0:
        return data[:at]
    if way == 1:
        return data + data
    if way == 2:
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if way == 3:
        return data[:at] + rng.choice((b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"}" * 50)) + data[at:]
    return data[at:]


VECTORS = {
    "schema": "xent-vectors/1",
    "vectors": [
        {"id": "a/one", "source": "here", "spec": {"weight": {"dtype": "float32", "data": [1, 2]}, "ignore_index": -100,
         "reduction": "none", "label_smoothing": 0.1},
         "input": {"dtype": "float32", "data": [[0.5, "nan"], ["-inf", 2]]},
         "target": {"dtype": "int64", "data": [0, 1]}, "expected": {"value": [0.1, "inf"], "gradient": [[1, 2], [3, 4]],
         "atol": 1e-3, "rtol": 0}, "note": "a note", "tags": ["mine"], "gradients": ["input", "weight"]},
        {"id": "a/two", "spec": {}, "input": {"dtype": "float16", "data": [], "shape": [0, 3]},
         "target": {"dtype": "int32", "data": []}, "expected": {"raises": True}, "clauses": []},
    ],
}  # fmt: skip
ARRAY = {"dtype": "float32", "shape": [2], "hex": ["0x1.9p-1", "nan"]}
HEADER = {
    "schema": "xent-results/2", "implementation": {"id": "mine-jit", "name": "mine", "version": "1", "device": "cpu",
    "mode": "jit", "kernels": "native"}, "python": "3.11.7", "platform": "Linux", "packages": {"numpy": "1.26"},
    "case_set": {"sha256": "0" * 64, "count": 3}, "started": "2026", "adapter": {"module": "m", "sha256": "f" * 64},
    "capabilities": {"input_ranks": {"allowed": [2, 3], "clause": "a/b/c"}}, "sample": "mine",
}  # fmt: skip
RECORDS = [
    {"case": "a/one", "outcome": "value", "value": ARRAY, "gradient": ARRAY, "gradients": {"weight": ARRAY},
     "casts": ["x -> y"], "kernels": "native", "ms": 1.5},
    {"case": "a/two", "outcome": "error", "error": {"type": "E", "message": "no [n] <b>", "phase": "forward"}, "ms": 1},
    {"case": "a/three", "outcome": "crash", "signal": "SIGABRT", "stderr": "Check failed: a | b"},
    {"case": "a/four", "outcome": "not-recorded", "reason": "no room"},
]  # fmt: skip
FOOTER = {"complete": True, "planned": 4, "recorded": 4, "left_out": {"only some": 2}}
CASES = [
    Case("a/one", Arguments(np.ones(2, np.float32), -100, "none", 0.1), np.zeros((2, 2), np.float32), np.array([0, 1]),
         ("mine",), (), ("input", "weight"), Expected(np.zeros(2), None, 1e-3), "here", "note"),
    *[Case(f"a/{n}", Arguments(), np.zeros((2, 2), np.float32), np.array([0, 1])) for n in ("two", "three", "four")],
]  # fmt: skip


def vectors_input(rng: random.Random) -> bytes:
    return text(rng, mutated(rng, VECTORS))


def results_input(rng: random.Random) -> bytes:
    lines = [HEADER, *RECORDS, FOOTER]
    at = rng.randrange(len(lines))
    lines[at] = mutated(rng, lines[at])
    if rng.random() < 0.2:
        rng.shuffle(lines)
    data = b"".join(text(rng, line) + b"\n" for line in lines)
    return damaged(rng, data) if rng.random() < 0.2 else data


def cases_input(rng: random.Random) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        case_file.write(Path(folder) / "cases", CASES)
        data = (Path(folder) / "cases").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    if rng.random() < 0.6:
        described = mutated(rng, json.loads(header["__metadata__"]["xent"]))
        header["__metadata__"]["xent"] = text(rng, described).decode("utf-8", "replace")
    else:
        header = mutated(rng, header)
    packed = text(rng, header)
    told = rng.choice((*[len(packed)] * 20, 0, 2**62, len(packed) + 7, 2**31))
    data = struct.pack("<Q", told) + packed + body
    return damaged(rng, data) if rng.random() < 0.2 else data


def journal_input(rng: random.Random) -> bytes:
    hello = {"hello": {**{name: HEADER["implementation"][name] for name in ("name", "version", "device", "mode")},
             "python": "3", "platform": "p", "packages": {}, "adapter": HEADER["adapter"], "capabilities": {},
             "sample": None, "planned": ["a/one", "a/two"], "left_out": {}}}  # fmt: skip
    entries = [
        hello,
        {"begin": "a/one", "stderr": 0},
        RECORDS[0],
        {"died": -6, "stderr": 10},
        RECORDS[1],
        {"end": True},
    ]
    at = rng.randrange(len(entries))
    entries[at] = mutated(rng, entries[at])
    return b"".join(b"\nword" + text(rng, entry) + b"\n" for entry in entries)


def read_journal(path: Path) -> None:
    for entry in journal.Journal(path, "word").entries():
        if isinstance(entry, journal.Recorded):
            record_json.record(entry.content, Place("record"))
        if isinstance(entry, journal.Hello):
            journal.header_of(entry, "mine", records.CaseSet("0" * 64, 1), Place("hello"))


def read_results(path: Path) -> None:
    """Reads it, and makes every output of what could be read."""
    found = results.read(path)
    listed = columns.of_evidence([found])
    report = model.of_columns(CASES, listed)
    files.write(report, path.parent / "report")


def judge_cases(path: Path) -> None:
    for case in case_file.read(path):
        judge_columns([case], [columns.Column("absent", "absent", "eager", None, "never run")])


def judge_vectors(path: Path) -> None:
    for case in vectors.read(path):
        judge_columns([case], [])
        with tempfile.TemporaryDirectory() as folder:
            case_file.write(Path(folder) / "cases", [case])
            assert [one.id for one in case_file.read(Path(folder) / "cases")] == [case.id]


READERS: dict[str, tuple[Callable[[random.Random], bytes], Callable[[Path], Any]]] = {
    "vectors": (vectors_input, judge_vectors),
    "results": (results_input, read_results),
    "cases": (cases_input, judge_cases),
    "journal": (journal_input, read_journal),
}


def main(reader: str, count: int, seed: int) -> int:
    make, read = READERS[reader]
    refused = taken = longest = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        for number in range(count):
            rng = random.Random(f"{reader} {seed} {number}")
            path.write_bytes(make(rng))
            signal.alarm(SECONDS)
            try:
                read(path)
                taken += 1
            except UnreadableInput as error:
                refused += 1
                longest = max(longest, len(str(error)))
            except BaseException:
                print(f"input {number} of seed {seed}: {path.read_bytes()[:3000]!r}", file=sys.stderr)
                raise
            signal.alarm(0)
    peak = peak_kib() // 1024
    print(json.dumps({"taken": taken, "refused": refused, "peak_mb": peak, "longest_message": longest}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
