"""The portable loss for Paddle, checked inside Paddle's own interpreter: native/check_paddle_portable.py."""

from __future__ import annotations

import subprocess
import sys

CHECKS = 15


def test_portable_loss_in_paddle(native_checks):
    checks = native_checks("paddle", "check_paddle_portable.py")
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == CHECKS, sorted(checks)


def test_the_adapter_offers_the_portable_loss_without_importing_paddle():
    code = (
        "import sys, xent.adapters.paddle as adapter, xent.adapters.paddle.ported as ported;"
        "assert 'CrossEntropyLoss' in adapter.__all__ and 'cross_entropy' in adapter.__all__;"
        "assert ported.MODE == 'portable' and ported.NAME == 'paddle';"
        "assert 'paddle' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
