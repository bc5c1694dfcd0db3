"""The entry of the command line: ``xent``, and ``python -m xent``.

It runs wherever the package installs, on Python 3.8 and with the standard library alone: where the extra
``conformance`` isn't installed it says in one line what to install.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Optional

# What the extra brings, by import name; without uv, which may be a program on PATH instead.
PACKAGES = ("jinja2", "ml_dtypes", "mpmath", "numpy", "rich", "safetensors")
_REMEDY = 'pip install "xent-loss[conformance]"'


def main() -> int:
    """Runs the command line and returns its exit code: 2 where it can't run here."""
    obstacle = _obstacle()
    if obstacle is not None:
        print(f"xent: {obstacle}", file=sys.stderr)
        return 2
    from xent.commands import cli

    return cli.main()


def _obstacle() -> Optional[str]:
    if sys.version_info < (3, 10):
        version = "{}.{}.{}".format(*sys.version_info)
        return f"the command line needs Python 3.10 or later, and this is {version}. In a later one, run: {_REMEDY}"
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        return f"the command line needs {', '.join(lacking)}, not installed here. Run: {_REMEDY}"
    return None


if __name__ == "__main__":
    sys.exit(main())
