"""The worker's journal, and what it makes of exceptions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xent.conformance.worker import recording
from xent.conformance.worker.journal import Journal

ROOT = Path(__file__).resolve().parent.parent.parent

CLOSED = """
import os, sys
from pathlib import Path
from xent.conformance.worker.journal import Journal
journal = Journal(Path(sys.argv[1]))
os.closerange(0, 256)
journal.append({"case": "a"})
os.write(1, b"to stdout")
os.write(2, b"to stderr")
assert os.read(0, 1) == b""
journal.append({"case": "b"})
"""


def test_standard_streams_that_a_case_closed_are_open_again_before_the_journal_is(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CLOSED, str(tmp_path)], env=environment, check=False, timeout=60)
    assert done.returncode == 0
    lines = (tmp_path / "journal").read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines if line] == [{"case": "a"}, {"case": "b"}]
    assert (tmp_path / "stdout").read_bytes() == b"to stdout"
    assert (tmp_path / "stderr").read_bytes() == b"to stderr"


def test_half_a_line_from_elsewhere_spoils_no_line(tmp_path):
    journal = Journal(tmp_path)
    journal.append({"case": "a"})
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'{"case": "half')
    journal.append({"case": "b"})
    lines = (tmp_path / "journal").read_bytes().split(b"\n")
    assert json.loads(lines[-2]) == {"case": "b"}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\x1b[1m\x1b[31mError\x1b[0m: no", "Error: no"),
        ("\n  \nlast line\n", "last line"),
        ("\x1b]0;title\x07plain", "plain"),
        ("half \ud800", "half ?"),
        ("", ""),
        ("a" * 3000 + "end", "a" * 1493 + "\n[...]\n" + "a" * 497 + "end"),
    ],
)
def test_text_of_frameworks_becomes_plain(text, clean):
    assert recording.error_of(RuntimeError(text)) == {"type": "RuntimeError", "message": clean}


def test_a_class_of_a_framework_is_named_with_its_module():
    class Check(Exception):
        pass

    Check.__module__, Check.__qualname__ = "oneflow._internal", "Check"
    assert recording.error_of(Check("x"))["type"] == "oneflow._internal.Check"
