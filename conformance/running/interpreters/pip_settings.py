"""The user's pip configuration in uv's terms: uv doesn't read it, and people behind a mirror depend on it."""

from __future__ import annotations

import ast
import os
import shutil
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Mapping

from . import bounded

_TIMEOUT = 60.0  # seconds
# pip lets a later one replace an earlier one, option by option.
_SECTIONS = ("global", "install", ":env:")
_ALIASES = {"default-timeout": "timeout", "pypi-url": "index-url"}
_TRUE = ("1", "true", "yes", "y", "on", "t")


@dataclass(frozen=True)
class UvSettings:
    """What to add to a uv call.

    Attributes:
        arguments: for ``uv pip install``.
        environment: for any uv command; index addresses go here, since they may hold a password and a command line is
            readable by every user of the machine.
    """

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def read(stop: threading.Event | None = None) -> UvSettings:
    """The settings of the pip that belongs to the running interpreter, else of the one on PATH, else none."""
    commands = [[sys.executable, "-m", "pip"]]
    commands += [[found] for name in ("pip3", "pip") if (found := shutil.which(name))]
    for command in commands:
        arguments = [*command, "--disable-pip-version-check", "config", "list"]
        try:
            answer = bounded.run(arguments, _TIMEOUT, folder=None, stop=stop)
        except OSError:
            continue
        if answer.status == 0 and not answer.stopped:
            return translate(parse(answer.stdout.decode("utf-8", "replace")))
    return UvSettings()


def parse(listing: str) -> dict[str, str]:
    """The effective options of ``pip install``, from what ``pip config list`` prints (``global.timeout='9'`` etc.)."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        key, equals, quoted = line.partition("=")
        section, dot, option = key.rpartition(".")
        if not (equals and dot and section in found):
            continue
        try:
            value = ast.literal_eval(quoted)
        except (ValueError, SyntaxError, MemoryError, RecursionError):  # the latter two: brackets without end
            continue
        if isinstance(value, str) and "\0" not in value:  # no argument or variable can hold one
            found[section][_ALIASES.get(option, option)] = value
    return {option: value for section in _SECTIONS for option, value in found[section].items()}


def translate(options: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> UvSettings:
    """pip's options (names as in pip's configuration, without dashes in front) as uv's arguments and environment."""
    arguments: list[str] = []
    environment: dict[str, str] = {}
    if _true(options.get("no-index", "")):
        arguments.append("--no-index")
    else:
        if index := options.get("index-url", "").strip():
            environment["UV_DEFAULT_INDEX"] = index
        if extra := options.get("extra-index-url", "").split():
            # uv searches UV_INDEX before the default index, and would stop at the first that knows the name.
            environment["UV_INDEX"] = " ".join(extra)
            environment["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    for place in _places(options.get("find-links", "")):
        arguments += ["--find-links", place]
    for place in _places(options.get("constraint", "")):
        arguments += ["--constraint", place]
    for host in options.get("trusted-host", "").split():
        arguments += ["--allow-insecure-host", host]
    if keyring := options.get("keyring-provider", "").strip():
        environment["UV_KEYRING_PROVIDER"] = "subprocess" if keyring in ("auto", "import") else keyring
    bundle = options.get("cert", "").strip()
    if not bundle and not environ.get("SSL_CERT_FILE"):
        bundle = (
            environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE") or ""
        )  # pip obeys these two, uv doesn't
    if bundle:
        environment["SSL_CERT_FILE"] = bundle
    if client := options.get("client-cert", "").strip():
        environment["SSL_CLIENT_CERT"] = client
    if proxy := options.get("proxy", "").strip():
        address = proxy if "://" in proxy else f"http://{proxy}"
        environment.update(dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), address))
    for option, name in (("timeout", "UV_HTTP_TIMEOUT"), ("retries", "UV_HTTP_RETRIES")):
        value = options.get(option, "").strip()
        try:
            environment[name] = str(max(0 if option == "retries" else 1, int(float(value))))
        except (ValueError, OverflowError):  # the latter: infinity
            continue
    return UvSettings(tuple(arguments), environment)


def _true(value: str) -> bool:
    return value.strip().lower() in _TRUE


def _places(value: str) -> Iterator[str]:
    """Whitespace-separated addresses and paths; paths made absolute, since uv runs in another folder than the user."""
    for place in value.split():
        yield place if "://" in place else str(Path(place).expanduser().absolute())
