"""The portable loss for MindSpore and mint, checked inside MindSpore's own interpreter (native/check_*.py)."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("script", "count"), [("portable", 21), ("compiled", 9)])
def test_the_portable_loss_in_mindspore(script, count, native_checks):
    checks = native_checks("mindspore", f"check_mindspore_{script}.py")
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == count, sorted(checks)
