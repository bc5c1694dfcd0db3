"""The portable loss for oneflow, checked inside oneflow's own interpreter: native/check_oneflow_portable.py."""

from __future__ import annotations

import subprocess
import sys

CHECKS = 21


def test_portable_loss_in_oneflow(native_checks):
    checks = native_checks("oneflow", "check_oneflow_portable.py")
    failed = {check: message for check, message in checks.items() if message}
    assert not failed, "\n".join(f"{check}: {message}" for check, message in failed.items())
    assert len(checks) == CHECKS, sorted(checks)


def test_the_adapter_offers_the_portable_loss_without_importing_oneflow():
    code = (
        "import sys, xent.adapters.oneflow as adapter, xent.adapters.oneflow.ported as ported;"
        "assert 'CrossEntropyLoss' in adapter.__all__ and 'cross_entropy' in adapter.__all__;"
        "assert ported.MODE == 'portable' and ported.NAME == 'oneflow';"
        "assert 'oneflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
