"""How a framework's interpreter finds xent and a plug-in, and nothing else that is installed here.

Whatever runs there goes this way: workers, the questions of `xent doctor`, benchmarks, examples.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import xent
from xent.conformance.implementations import Implementation
from xent.errors import Unavailable


@contextlib.contextmanager
def launched(module: str, folder: str | None = None) -> Iterator[dict[str, str]]:
    """The environment for a program that imports xent and that module; what it needs is there until the block ends.

    Args:
        module: the module path of a plug-in, or of what runs; one of xent's own needs nothing beside xent.
        folder: where it imports from; None: where this process would find it.

    Raises:
        Unavailable: there is no such module.
    """
    with tempfile.TemporaryDirectory(prefix="xent-path-") as place:
        path = Path(place) / "path"
        make_search_path(path, Implementation(module, module, folder))
        yield environment(path)


def environment(search_path: Path) -> dict[str, str]:
    """This process's environment, with xent first on Python's path; what stands there stays, since CANN needs it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    paths = [str(search_path), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    environment["PYTHONUNBUFFERED"] = environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment


def make_search_path(folder: Path, implementation: Implementation) -> None:
    """Fills `folder` with links to xent and to the plug-in, and nothing else of what this interpreter has installed.

    Raises:
        Unavailable: there is no such plug-in.
    """
    folder.mkdir()
    (folder / "xent").symlink_to(Path(xent.__file__).resolve().parent)
    top = implementation.module.split(".")[0]
    if top != "xent":
        found = _find(top, implementation)
        (folder / found.name).symlink_to(found)


def _find(top: str, implementation: Implementation) -> Path:
    if implementation.search_path is not None:
        folder = Path(implementation.search_path).resolve()
        places = [folder / top, folder / f"{top}.py"]
    else:
        try:
            spec = util.find_spec(top)
        except (ImportError, ValueError):
            spec = None
        places = [Path(place) for place in (spec and spec.submodule_search_locations) or []]
        places += [Path(spec.origin)] if spec and spec.origin and not places else []
    for place in places:
        if place.exists():
            return place.resolve()
    where = implementation.search_path or "Python's search path"
    remedy = "Check --adapter, and that it is importable here."
    raise Unavailable(implementation.id, f"no module {top!r} in {where}", remedy)
