"""What a probe can find: each is raised, with words for the adapter's author that say what to do."""

from __future__ import annotations

import contextlib
from typing import Iterator

from xent.errors import Unavailable


class Wrong(Exception):
    """Something is there and isn't what the contract says."""


class Missing(Exception):
    """Something isn't there."""


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Names the call of the adapter that raises from within, since its author knows of no probes.

    Raises:
        Wrong: in the place of any exception but these two and Unavailable.
    """
    try:
        yield
    except (Wrong, Missing, Unavailable, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise Wrong(f"{what} raised {told(error)}") from error


def told(error: BaseException) -> str:
    """The exception as its class and its text. Never raises: some fail in their own __str__."""
    try:
        text = " ".join(str(error).split())[:300]
    except BaseException as second:
        text = f"(no text: its __str__ raised {type(second).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
