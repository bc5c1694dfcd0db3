"""The portable loss for MindSpore and mint, checked inside MindSpore's own interpreter (native/check_*.py)."""

from __future__ import annotations

CHECKS = 29


def test_the_portable_loss_in_mindspore(native_checks):
    checks = native_checks("mindspore", "check_mindspore_portable.py")
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == CHECKS, sorted(checks)
