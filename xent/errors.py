"""Every way in which xent refuses, each derived from the builtin that a user would catch."""

from __future__ import annotations

from typing import Any, Optional


class XentError(Exception):
    """Base of every error that xent itself raises."""


class XentWarning(UserWarning):
    """Something allowed that deserves a look, such as class probabilities outside [0, 1] (rule S7)."""


class SpecError(XentError):
    """An argument that the specification refuses.

    Attributes:
        argument: the argument's name, e.g. ``"label_smoothing"``.
        received: the value received, as text.
        rule: the rule of the specification, ``"S1"`` to ``"S8"``.
        clause: the document clause behind the rule, e.g. ``"torch-2.8/label-smoothing/range"``.
    """

    def __init__(self, message: str, *, argument: str, received: str, rule: str, clause: str) -> None:
        super().__init__(message)
        self.argument = argument
        self.received = received
        self.rule = rule
        self.clause = clause

    def __reduce__(self) -> Any:
        # Keyword-only arguments are not in Exception.args, so the default would fail to unpickle across processes.
        return _rebuild, (type(self), str(self), self.argument, self.received, self.rule, self.clause)


class SpecValueError(SpecError, ValueError):
    """The right type, a value that the specification refuses."""


class SpecTypeError(SpecError, TypeError):
    """A type or dtype that the specification refuses."""


class SpecIndexError(SpecError, IndexError):
    """A class index outside [0, C) that is not ``ignore_index`` (rule S6)."""


def _rebuild(cls: Any, message: str, argument: str, received: str, rule: str, clause: str) -> SpecError:
    error: SpecError = cls(message, argument=argument, received=received, rule=rule, clause=clause)
    return error


class UnreadableInput(XentError, ValueError):
    """A file, folder or option from outside that can't be used (the command line's exit code 2).

    Args:
        path: the file, as the user named it.
        place: where in it, e.g. ``"line 3"`` or ``"vectors[0].input"``; None for the whole file.
        problem: what is wrong, a clause without a full stop.
        remedy: what to do about it; None where nothing useful can be said.
    """

    def __init__(self, path: Any, place: Optional[str], problem: str, remedy: Optional[str] = None) -> None:
        where = f"{path}: {place}" if place else f"{path}"
        super().__init__(f"{where}: {problem}." + (f" {remedy}" if remedy else ""))
        self.path = str(path)
        self.place = place
        self.problem = problem
        self.remedy = remedy


class Unavailable(XentError, RuntimeError):
    """An implementation that can't run here; the others still can.

    Args:
        implementation: its id, e.g. ``"oneflow"``.
        reason: why, a clause without a full stop.
        remedy: the next step for the user; None where there is none.
    """

    def __init__(self, implementation: str, reason: str, remedy: Optional[str] = None) -> None:
        super().__init__(f"{implementation}: {reason}." + (f" {remedy}" if remedy else ""))
        self.implementation = implementation
        self.reason = reason
        self.remedy = remedy


class NotStarted(Unavailable):
    """An implementation whose framework did not get ready in its interpreter: no import, no answer, or a dead process.

    Args:
        status: how its process ended, as subprocess has it; None where it answered, or was still running.
        stderr: the end of what the process wrote there.
    """

    def __init__(
        self,
        implementation: str,
        reason: str,
        remedy: Optional[str] = None,
        *,
        status: Optional[int] = None,
        stderr: str = "",
    ) -> None:
        super().__init__(implementation, reason, remedy)
        self.status = status
        self.stderr = stderr


class MissingPackage(XentError, ImportError):
    """A package that isn't installed here, and that what was asked for needs.

    Args:
        package: its name on the index, e.g. ``"mpmath"``.
        need: what needs it, the beginning of a sentence.
    """

    def __init__(self, package: str, need: str) -> None:
        super().__init__(f"{need} needs {package}, which isn't installed here. Run: pip install {package}")
        self.package = package
        self.need = need

    def __reduce__(self) -> Any:
        return type(self), (self.package, self.need)
