"""A machine of its own for tests that make environments."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_environment import machine


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which `toy` 1.0 is pinned and lies in pip's find-links folder; no index, an empty cache."""
    return machine(tmp_path, monkeypatch)
