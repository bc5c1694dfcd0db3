"""pip's configuration in uv's terms."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from xent.conformance.running.interpreters import pip_settings


def translate(**options: str) -> pip_settings.UvSettings:
    return pip_settings.translate({name.replace("_", "-"): value for name, value in options.items()}, {})


def test_a_later_section_replaces_an_earlier_one() -> None:
    listing = (
        "global.index-url='https://a/simple'\nglobal.find-links='/global'\ninstall.find-links='/install'\n"
        ":env:.find-links='/env'\nfreeze.timeout='7'\nnot a setting\nglobal.cert=broken(\n"
    )
    assert pip_settings.parse(listing) == {"index-url": "https://a/simple", "find-links": "/env"}


def test_what_pip_really_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex_url = https://a/simple\nextra-index-url =\n  https://b/simple\n  https://c/simple\n"
        "timeout = 7\n"
        "[install]\ntrusted-host = a\n  b\n"
    )
    for name in os.environ:
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "99")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels https://d/wheels")
    settings = pip_settings.read()
    assert settings.environment["UV_DEFAULT_INDEX"] == "https://a/simple"
    assert settings.environment["UV_INDEX"] == "https://b/simple https://c/simple"
    assert settings.environment["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert settings.environment["UV_HTTP_TIMEOUT"] == "99"  # an environment variable outweighs every file
    given = " ".join(settings.arguments)  # and more, where a file for all users says more
    assert "--find-links /wheels --find-links https://d/wheels" in given
    assert "--allow-insecure-host a --allow-insecure-host b" in given


def test_no_index_outweighs_every_index() -> None:
    settings = translate(no_index="true", index_url="https://a", extra_index_url="https://b")
    assert settings == pip_settings.UvSettings(("--no-index",), {})
    assert translate(no_index="0", index_url="https://a").environment == {"UV_DEFAULT_INDEX": "https://a"}


def test_paths_are_made_absolute_and_addresses_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = translate(constraint="c.txt https://h/c.txt", find_links="file:///w ./w").arguments
    assert arguments == (
        "--find-links", "file:///w", "--find-links", str(tmp_path / "w"),
        "--constraint", str(tmp_path / "c.txt"), "--constraint", "https://h/c.txt",
    )  # fmt: skip


def test_certificates_proxy_time_and_keyring() -> None:
    settings = translate(
        cert="/ca.pem", client_cert="/me.pem", proxy="host:3128", timeout="180", retries="2",
        keyring_provider="import",
    )  # fmt: skip
    assert settings.arguments == ()
    assert settings.environment == {
        "SSL_CERT_FILE": "/ca.pem", "SSL_CLIENT_CERT": "/me.pem", "UV_HTTP_TIMEOUT": "180", "UV_HTTP_RETRIES": "2",
        "UV_KEYRING_PROVIDER": "subprocess", "HTTP_PROXY": "http://host:3128", "HTTPS_PROXY": "http://host:3128",
        "ALL_PROXY": "http://host:3128",
    }  # fmt: skip


def test_the_bundle_that_pip_takes_from_the_environment() -> None:
    assert pip_settings.translate({}, {"REQUESTS_CA_BUNDLE": "/r.pem"}).environment == {"SSL_CERT_FILE": "/r.pem"}
    assert pip_settings.translate({}, {"REQUESTS_CA_BUNDLE": "/r.pem", "SSL_CERT_FILE": "/s.pem"}).environment == {}


def test_no_pip_is_no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", "")
    assert pip_settings.read() == pip_settings.UvSettings()


@pytest.mark.parametrize(
    "line",
    [
        "global.index-url='a\\x00b'",
        "global.index-url=" + "(" * 100_000,
        "global.index-url=" + "-" * 100_000 + "1",
        "global.index-url=7",
        "global.index-url=['a']",
        "global.index-url=b'a'",
        "global.index-url='" + "a" * 10,
    ],
    ids=lambda line: line[:28],
)
def test_a_value_that_no_option_can_have_is_passed_over(line: str) -> None:
    assert pip_settings.parse(f"{line}\nglobal.cert='/ca.pem'") == {"cert": "/ca.pem"}


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999", "soon", ""])
def test_a_number_that_is_none_is_passed_over(value: str) -> None:
    assert translate(timeout=value, retries=value).environment == {}


def test_a_pip_that_prints_other_bytes_than_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pip = tmp_path / "pip3"
    pip.write_text("#!/bin/sh\nprintf 'global.cert=\\047/\\377\\047\\nglobal.timeout=\\0477\\047\\n'\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pip_settings.read().environment["UV_HTTP_TIMEOUT"] == "7"
