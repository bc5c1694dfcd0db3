"""The one way in which an adapter gets hold of its framework: imported when needed, and proven to be the real one.

Packages that let torch code run elsewhere put themselves into ``sys.modules`` as ``torch`` (oneflow.mock_torch does).
Evidence under torch's name must come from torch, so what counts is where the loss class itself was defined.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable

from xent.errors import Unavailable


def framework(name: str, loss: str = "nn.CrossEntropyLoss") -> Any:
    """The module of that framework, e.g. ``framework("torch")``; imports it where nobody has yet.

    Args:
        name: its import name.
        loss: the dotted name, inside the module, of the loss class or function that the adapter is about:
            ``"Tensor.sparse_categorical_crossentropy"`` for tinygrad.

    Raises:
        Unavailable: it does not import here, has no such loss, or what imports under that name is another package's
            stand-in.
    """
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a shared library that the framework needs is missing
        reason = f"{name} does not import here ({type(error).__name__}: {error})"
        raise Unavailable(name, reason, f"Use an interpreter that has {name}.") from error
    found: Any = module
    for part in loss.split("."):
        found = getattr(found, part, None)
    if found is None:
        where = getattr(module, "__file__", None) or list(getattr(module, "__path__", []))
        raise Unavailable(name, f"the module {name!r} here ({where}) has no {loss}", "Rename it.")
    home = str(getattr(found, "__module__", None) or module.__name__).split(".")[0]
    if home != name:
        reason = f"the module {name!r} in this process is a stand-in by {home}, not {name} itself"
        raise Unavailable(name, reason, f"Use a process in which {name} itself is imported.")
    return module


def on_use(package: str, **homes: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` for what can't exist before the framework is imported, such as a subclass of its own.

    Args:
        package: the module's ``__name__``.
        **homes: for each name the submodule that defines it, imported when the name is first asked for.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return __getattr__


def expect_loss(loss: Any, cls: type, name: str) -> None:
    """Refuses an object that is not an instance of a framework's loss class.

    Raises:
        TypeError: names the class expected and the class received.
    """
    if not isinstance(loss, cls):
        received = f"{type(loss).__module__}.{type(loss).__qualname__}"
        raise TypeError(f"loss must be a {name}, got an instance of {received}")
