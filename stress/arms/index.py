"""Asks the package index that this machine is configured for when a release was published.

Which index that is: the setting of `uv` (its environment variables, its configuration files), then that of `pip`
(the same), then the index that pip itself was built with, read from the pip of this Python or from the one that the
standard library carries. No address is written down here: a machine behind a mirror asks its mirror.

The answer is read in either form of the simple API, JSON (PEP 691) or HTML (PEP 503), as mirrors differ; the upload
time is PEP 700's, which some mirrors keep in HTML as `data-upload-time`. A mirror without upload times can't be used
for a release that isn't in `requirements/releases.toml`, and the error says so.
"""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

from stress.arms.errors import ArmsError

# The same preference as uv's and pip's own: JSON, then HTML.
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_FILE_VERSION = re.compile(r"^apache[_-]airflow-(?P<version>\d[^-]*?)(?:\.tar\.gz|-py[^/]*\.whl)$")


class IndexUnreachable(ArmsError):  # noqa: N818 - it says what happened
    """The package index gave no usable answer."""


@dataclass(frozen=True)
class Published:
    """One release as the index lists it; `day` is None where the index keeps no upload times."""

    version: str
    day: date | None


def published_releases(timeout_s: float = 2.0) -> tuple[Published, ...]:
    """Every version of `apache-airflow` that the configured index lists.

    The whole question is bounded, not each of its steps (name look-up, connect, read): hence the thread.
    """
    answers: list[tuple[Published, ...]] = []
    failures: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(_ask(index_url(), timeout_s))
        except (OSError, ValueError, ArmsError, subprocess.SubprocessError) as error:
            failures.append(error)

    thread = threading.Thread(target=ask, name="package-index", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if answers:
        return answers[0]
    if failures:
        raise IndexUnreachable(f"the package index gave no answer ({failures[0]})") from failures[0]
    raise IndexUnreachable(f"the package index gave no answer within {timeout_s:g} s")


def index_url() -> str:
    """The simple-API address of the index that this machine's `uv` or `pip` is configured for."""
    return configured_index() or _pip_default()


def configured_index() -> str | None:
    """The index that this machine is configured for, or None when only the built-in one is left."""
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if os.environ.get(variable):
            return _unnamed(os.environ[variable])
    return _from_uv_files() or pip_index()


def pip_index() -> str | None:
    """The index in pip's environment variable or configuration files."""
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    home = Path.home()
    configured = os.environ.get("PIP_CONFIG_FILE")
    # The order of pip's own precedence, the strongest first.
    candidates = [
        *([Path(configured)] if configured else []),
        Path(sys.prefix) / "pip.conf",
        _config_home() / "pip" / "pip.conf",
        home / ".pip" / "pip.conf",
        Path("/etc/pip.conf"),
    ]
    for path in candidates:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        for section in ("install", "global"):
            value = parser.get(section, "index-url", fallback=None) or parser.get(section, "index_url", fallback=None)
            if value:
                return value.strip()
    return None


def _unnamed(value: str) -> str:
    # uv takes `name=address`; an address alone may hold an equals sign in its query.
    name, separator, rest = value.partition("=")
    return rest if separator and "://" not in name else value


def _config_home() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return Path(base) if base else Path.home() / ".config"


def _from_uv_files() -> str | None:
    named = os.environ.get("UV_CONFIG_FILE")
    for path in [Path(named)] if named else [_config_home() / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]:
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        pip_section = settings.get("pip")
        for section in (settings, pip_section if isinstance(pip_section, dict) else {}):
            indexes = section.get("index", [])
            for index in indexes if isinstance(indexes, list) else []:
                if isinstance(index, dict) and index.get("default") and isinstance(index.get("url"), str):
                    return cast(str, index["url"])
            if isinstance(section.get("index-url"), str):
                return cast(str, section["index-url"])
    return None


def _pip_default() -> str:
    """The address built into pip. A subprocess, because pip's internals are not made to be imported."""
    program = (
        "import glob, os, sys, ensurepip\n"
        "bundled = os.path.join(os.path.dirname(ensurepip.__file__), '_bundled', 'pip-*.whl')\n"
        "sys.path += glob.glob(bundled)\n"  # behind an installed pip; a venv made by uv has none
        "from pip._internal.models.index import PyPI\n"
        "print(PyPI.simple_url)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise IndexUnreachable("no package index is configured: set UV_DEFAULT_INDEX to its address")
    return done.stdout.strip()


def _ask(index: str, timeout_s: float) -> tuple[Published, ...]:
    if urlsplit(index).scheme not in ("http", "https"):
        raise IndexUnreachable("the configured index is not an http address, so it can't be asked for dates")
    content, kind = get(page_of("apache-airflow", index), timeout_s)
    body = content.decode("utf-8", "replace")
    return parse_json(body) if "json" in kind else parse_html(body)


def page_of(project: str, index: str) -> str:
    """The address of a project's page in an index."""
    parts = urlsplit(index)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{project}/", "", ""))


def get(address: str, timeout_s: float, accept: str = _ACCEPT) -> tuple[bytes, str]:
    """The content at an http address of the index, and its type, with the user's name, password and authorities."""
    parts = urlsplit(address)
    headers = {"Accept": accept}
    if parts.username:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    request = urllib.request.Request(bare, headers=headers)  # noqa: S310 - the configured index
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=_tls()) as response:  # noqa: S310 - as above
            return response.read(), response.headers.get("content-type", "")
    except urllib.error.HTTPError as error:
        # Its own text would hold the address, and an address may hold a password.
        raise IndexUnreachable(f"it answered {error.code}") from error


def _tls() -> ssl.SSLContext:
    # uv and pip each have a variable of their own for a private certificate authority; honour whichever is set.
    for variable in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        bundle = os.environ.get(variable)
        if bundle and Path(bundle).is_file():
            return ssl.create_default_context(cafile=bundle)
    return ssl.create_default_context()


def parse_json(body: str) -> tuple[Published, ...]:
    """Read a PEP 691 answer."""
    files = json.loads(body).get("files", [])
    return _collect([(str(file.get("filename", "")), file.get("upload-time")) for file in files])


def parse_html(body: str) -> tuple[Published, ...]:
    """Read a PEP 503 answer."""
    parser = _Links()
    parser.feed(body)
    return _collect(parser.found)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            attributes = dict(attrs)
            path = urlsplit(attributes.get("href") or "").path
            self.found.append((unquote(path.rpartition("/")[2]), attributes.get("data-upload-time")))


def _collect(files: list[tuple[str, str | None]]) -> tuple[Published, ...]:
    days: dict[str, date | None] = {}
    for filename, uploaded in files:
        match = _FILE_VERSION.match(filename)
        if match is None:
            continue
        day = datetime.fromisoformat(uploaded).astimezone(UTC).date() if uploaded else None
        known = days.get(match["version"])
        days[match["version"]] = min(filter(None, (known, day)), default=None)
    return tuple(Published(version, day) for version, day in days.items())
