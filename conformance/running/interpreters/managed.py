"""Makes the managed environment of a framework: pinned, hashed, by uv, once, whoever else is at it at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple

from xent.conformance.running.interpreters.requirements import (
    MARKER,
    Requirements,
    cache_folder,
    environment_folder,
    existing,
    for_framework,
    is_complete,
    this_platform,
)
from xent.conformance.running.interpreters.uv_process import Failure, Say, explain, find_uv, run
from xent.errors import Unavailable

from . import pip_settings, pythons

_POLL = 0.2  # seconds between two looks at whether another process is done
# How uv says that no index or folder offers a pinned version: the next requirement file may name one that is offered.
_NOT_OFFERED = ("there is no version of", "was not found in", "no wheels with a matching", "has no wheels")

# The first two belong to the running interpreter and would leak another Python's packages in. Without the others the
# first import leaves its bytecode in the environment: every later start of torch is seconds shorter for it.
_NOT_OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


class _Maker(NamedTuple):
    """What every step needs."""

    implementation: str
    uv: Path
    settings: pip_settings.UvSettings
    say: Say
    lock: int
    stop: threading.Event | None

    def environment(self, **more: str) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        return {**kept, **self.settings.environment, **more}


def ensure(implementation: str, framework: str, say: Say, stop: threading.Event | None = None) -> Path:
    """The folder of the framework's managed environment, made now if it isn't there yet.

    Args:
        implementation: the id that messages name.
        framework: the import name, e.g. ``"mindspore"``.
        say: called with one line for people at each step.
        stop: once set, the step under way is ended.

    Raises:
        Unavailable: no requirement file fits, or a step failed; nothing unfinished is left behind as finished.
        KeyboardInterrupt: by `stop`.
    """
    known = for_framework(framework)
    if not known:
        raise Unavailable(
            implementation, f"there is no managed environment for {framework} on {this_platform()}", own(implementation)
        )
    if found := existing(framework):
        return found
    try:
        uv = find_uv()
    except FileNotFoundError as error:
        reason = f"its environment needs the program uv, which isn't here ({error})"
        raise Unavailable(implementation, reason, f"Run: python -m pip install uv. {own(implementation)}") from None
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with _locked(cache_folder() / f"{framework}.lock", implementation, say, stop) as lock:
            if found := existing(framework):  # made by the process that held the lock before us
                return found
            return _make(_Maker(implementation, uv, pip_settings.read(stop), say, lock, stop), known)
    except OSError as error:
        raise Unavailable(
            implementation,
            f"its environment can't be kept under {cache_folder()} ({error.strerror or error})",
            f"Make room or make the folder writable, or set XDG_CACHE_HOME to another one. {own(implementation)}",
        ) from error


def own(implementation: str) -> str:
    """The way out that always exists."""
    return f"Or name an interpreter that has it: --python {implementation}=INTERPRETER."


@contextlib.contextmanager
def _locked(path: Path, implementation: str, say: Say, stop: threading.Event | None) -> Iterator[int]:
    """An exclusive lock on that file, as a descriptor.

    The programs that we start inherit the descriptor and with it the lock: should this process be killed, its uv goes
    on writing for a while, and nobody else may touch the folder until that uv ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _take(descriptor):
            say(f"{implementation}: another process is making this environment; waiting for it")
            while not _take(descriptor):
                if (stop or threading.Event()).wait(_POLL):
                    raise KeyboardInterrupt
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(maker: _Maker, known: tuple[Requirements, ...]) -> Path:
    for position, requirements in enumerate(known):
        try:
            return _make_one(maker, requirements)
        except Failure as failure:
            fallback = position + 1 < len(known)
            if fallback and failure.step == "install" and any(sign in failure.reason for sign in _NOT_OFFERED):
                maker.say(
                    f"{maker.implementation}: {requirements.name} isn't offered here, trying {known[position + 1].name}"
                )
                continue
            reason, remedy = explain(failure, requirements.framework, requirements.size, cache_folder())
            raise Unavailable(maker.implementation, reason, f"{remedy} {own(maker.implementation)}") from None
    raise AssertionError("the last requirement file either returns or raises")


def _make_one(maker: _Maker, requirements: Requirements) -> Path:
    local = pythons.first(requirements.pythons, maker.uv, maker.stop)
    folder = environment_folder(requirements, local.minor if local else requirements.pythons[0])
    if folder.exists():
        maker.say(f"{maker.implementation}: removing an unfinished environment")
        shutil.rmtree(folder)
    where = f"Python {local.release}" if local else f"Python {requirements.pythons[0]}, to be downloaded"
    maker.say(
        f"{maker.implementation}: making the {requirements.name} environment (once, {requirements.size}, {where})"
    )
    started = time.monotonic()
    try:
        _create(maker, requirements, str(local.path) if local else requirements.pythons[0], folder)
        _install(maker, requirements, folder)
        _verify(maker, requirements, folder)
        _finish(requirements, folder)
    except BaseException:  # Ctrl-C too: gigabytes that nobody will use
        shutil.rmtree(folder, ignore_errors=True)
        raise
    maker.say(f"{maker.implementation}: environment ready after {time.monotonic() - started:.0f} s")
    return folder


def _create(maker: _Maker, requirements: Requirements, python: str, folder: Path) -> None:
    command = [str(maker.uv), "venv", "--no-project", "--python", python, str(folder)]
    # Only a Python that isn't here is downloaded, and not against the user's own setting.
    downloads = "never" if os.sep in python else os.environ.get("UV_PYTHON_DOWNLOADS", "automatic")
    _step(maker, "create" if os.sep in python else "python", command, maker.environment(UV_PYTHON_DOWNLOADS=downloads))


def _install(maker: _Maker, requirements: Requirements, folder: Path) -> None:
    # Every package is listed with its hashes (a test sees to it), so --no-deps installs exactly these and nothing
    # unhashed. uv's --require-hashes would say the same, but refuses a pip constraint such as "torch<3".
    command = [
        str(maker.uv), "pip", "install", "--python", str(folder / "bin" / "python"), "--no-deps", "--no-build",
        "--verify-hashes", *maker.settings.arguments, "--requirements", str(requirements.path),
    ]  # fmt: skip
    _step(maker, "install", command, maker.environment())


def _verify(maker: _Maker, requirements: Requirements, folder: Path) -> None:
    maker.say(f"{maker.implementation}: importing {requirements.framework} for the first time")
    command = [str(folder / "bin" / "python"), "-c", f"import {requirements.framework}"]
    _step(maker, "import", command, maker.environment(), quiet=True)


def _step(maker: _Maker, step: str, command: list[str], environment: Mapping[str, str], *, quiet: bool = False) -> None:
    # In the cache folder: uv reads the configuration of the project that it stands in, which is none of ours.
    run(
        step,
        command,
        environment,
        cache_folder(),
        maker.lock,
        lambda line: maker.say(f"{maker.implementation}: {line}"),
        quiet,
        maker.stop,
    )


def _finish(requirements: Requirements, folder: Path) -> None:
    """Writes the marker, last and at once: without it the folder counts as unfinished."""
    draft = folder / f"{MARKER}.partial"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(
            {"requirements": requirements.path.name, "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}, file
        )
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, folder / MARKER)
    assert is_complete(folder)
