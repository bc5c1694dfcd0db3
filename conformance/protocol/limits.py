"""How much of everything a results file may hold: what the worker cuts to, and what the reader refuses beyond.

Runs in a worker: Python 3.8.
"""

from __future__ import annotations

NAME = 300
"""Characters of an id, a version, a device, a package, a cast: what stands in a cell."""

TEXT = 8000
"""Characters of an error's text, a reason, or the end of stderr."""

CASTS = 100
PACKAGES = 100
KERNELS = 4
"""Different words for the kernels of one implementation that its header names."""

HEADER = 100_000
"""Bytes of a results file's first line."""

LINE = 256 * 2**20
"""Bytes of any other line: two arrays of `arrays.MAX_ELEMENTS` in float64."""
