"""Why a process died, from what it printed: the line that says so, else the frame that it died in.

Frameworks in C++ print their check first and a screen of stack after it; Python's faulthandler prints its own stack and
a list of extension modules after that. The last line is the least telling one.
"""

from __future__ import annotations

import re

_LONGEST = 300
# Each with what to keep of a line, the more telling first.
_CAUSES = tuple(
    re.compile(pattern)
    for pattern in (
        r"^F\d{4,8} \S+ +\d+ (?P<where>[^\]]+)\] (?P<what>.+)$",  # glog's fatal line: oneflow, Paddle
        r"^\s*what\(\):\s*(?P<what>.+)$",  # an exception that nobody caught, in C++
        r"^(?P<what>.*\bAssertion [`'].*['`] failed\b.*)$",  # assert()
        r"^(?:\*\*\* )?(?P<what>(?:stack smashing|buffer overflow) detected.*?)(?: \*\*\*.*)?$",  # glibc
        r"^(?P<what>(?:free|malloc|realloc|calloc|munmap_chunk|malloc_consolidate|_int_malloc|tcache\w*)\(\): .+)$",
        r"^(?:\*\*\* .*?: )?(?P<what>(?:double free or corruption|corrupted (?:size|double)).*?)(?:: 0x.*)?$",
        r"^\[(?:CRITICAL|EXCEPTION)\] (?P<where>[^\]]*?\]?)(?: ?\])? (?P<what>.+)$",  # MindSpore
        r"^(?P<what>.*\bCheck failed\b.+)$",
        r"^(?P<what>.*(?:CUDA error|symbol lookup error|cannot allocate memory|[Oo]ut of memory|std::bad_alloc).*)$",
        r"^(?P<what>terminate called .+)$",
        r"^\[ERROR\] (?P<where>[^\]]*?\]?)(?: ?\])? (?P<what>.+)$",  # MindSpore
    )
)
_FATAL = re.compile(r"^Fatal Python error: (?P<what>.+)$", re.MULTILINE)
_FRAME = re.compile(r'^ +File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>\S+)', re.MULTILINE)
_NOISE = re.compile(
    r'^(?:Extension modules: |Stack \(|Current thread|Thread 0x|Fatal Python error| *File "|\*\*\* Check failure stack'
    r"| *@ +0x|[IW]\d{4,8} |\[\.\.\.\]|\[(?:WARNING|INFO|DEBUG)\])"
)


def crash_cause(stderr: str) -> str:
    """Why the process died, a clause; empty where it printed nothing that says so."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for pattern in _CAUSES:
        for line in lines:
            if found := pattern.match(line):
                where = (found.groupdict().get("where") or "").strip("[] ")
                return _cut(found["what"].strip()) + (f" ({where[-60:]})" if where else "")
    if place := _frame(stderr):
        return place
    told = [line for line in lines if not _NOISE.match(line)]
    return _cut(told[-1]) if told else ""


def _frame(stderr: str) -> str:
    """Where Python was, by faulthandler: the innermost frame, and the error that it names."""
    fatal = _FATAL.search(stderr)
    frame = _FRAME.search(stderr, fatal.end() if fatal else 0)
    if frame is None:
        return fatal["what"] if fatal else ""
    file = frame["file"].rpartition("site-packages/")[2]
    error = f"{fatal['what']} " if fatal else ""
    return _cut(f"{error}in {frame['name']} ({file[-80:]}, line {frame['line']})")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
