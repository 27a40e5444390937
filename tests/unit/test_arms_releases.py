"""Which releases there are, and how the package index is asked about others."""

from __future__ import annotations

import re
import sys
import threading
from datetime import date
from pathlib import Path

import pytest

from stress.arms import index, releases
from stress.arms.errors import UnknownRelease
from stress.arms.index import IndexUnreachable, Published
from stress.arms.releases import base_release, check, known_releases, requirements_directory

LOCKED = ("3.1.8", "3.2.1", "3.3.2", "3.4.0b2")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index that lists two releases, and the day of only one of them."""
    answer = (Published("3.8.0", date(2030, 1, 2)), Published("3.8.1", None), Published("3.9.0rc1", date(2031, 1, 1)))
    monkeypatch.setattr(index, "published_releases", lambda _timeout_s: answer)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody configured an index."""
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.parametrize("version", LOCKED)
def test_a_release_has_a_committed_lock(version: str) -> None:
    assert check(version).committed_lock is not None


@pytest.mark.parametrize("version", LOCKED)
def test_a_committed_lock_hashes_every_package(version: str) -> None:
    text = (requirements_directory() / f"airflow-{version}.txt").read_text(encoding="utf-8")
    packages = re.split(r"\n(?=\S)", text.strip())
    assert len(packages) > 100
    assert all("--hash=sha256:" in package for package in packages)
    assert f"apache-airflow=={version} " in text


@pytest.mark.parametrize("version", LOCKED)
def test_a_committed_lock_names_no_place(version: str) -> None:
    text = (requirements_directory() / f"airflow-{version}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--find-links|--extra| @ |^#", text, re.MULTILINE)


def test_known_releases_are_in_order_and_none_is_too_old() -> None:
    numbers = [release.number for release in known_releases()]
    assert numbers == sorted(numbers)
    assert numbers[0] == releases.OLDEST


def test_dependencies_are_taken_as_of_the_end_of_the_release_s_day() -> None:
    assert check("3.2.1").resolved_as_of == "2026-04-23T00:00:00Z"


@pytest.mark.parametrize(
    "version", ["", "3", "3.2", "3.2.1dev0", "3.2.1.rc1", "3.2.1rc", "v3.2.1", "03.2.1", "3.2.1 ", "../../x", "latest"]
)
def test_a_text_that_is_no_version_is_refused_without_asking(version: str) -> None:
    with pytest.raises(UnknownRelease, match="is not a version of Airflow"):
        check(version)


@pytest.mark.parametrize("version", ["3.0.6", "2.11.0", "3.1.0rc2"])
def test_a_release_before_the_oldest_is_refused(version: str) -> None:
    with pytest.raises(UnknownRelease, match=r"3\.1\.0 is the oldest"):
        check(version)


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(("version", "day"), [("3.8.0", date(2030, 1, 2)), ("3.9.0rc1", date(2031, 1, 1))])
def test_a_newer_release_takes_its_day_from_the_index(version: str, day: date) -> None:
    assert check(version).day == day


@pytest.mark.usefixtures("listed")
def test_a_pre_release_that_is_not_there_is_named_with_its_neighbours() -> None:
    with pytest.raises(UnknownRelease, match=r"there is no Airflow 3\.9\.0rc2: of 3\.9 there are 3\.9\.0rc1$"):
        check("3.9.0rc2")


@pytest.mark.usefixtures("listed")
def test_a_release_that_is_not_there_is_told_with_its_neighbours() -> None:
    with pytest.raises(UnknownRelease, match=r"there is no Airflow 3\.8\.7: of 3\.8 there are 3\.8\.0, 3\.8\.1"):
        check("3.8.7")


@pytest.mark.usefixtures("listed")
def test_a_release_without_a_day_says_where_to_put_it() -> None:
    with pytest.raises(UnknownRelease, match=r"releases\.toml"):
        check("3.8.1")


def test_an_index_that_does_not_answer_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def silent() -> str:
        ended.wait()
        raise index.IndexUnreachable("the test is over")

    monkeypatch.setattr(index, "index_url", silent)
    try:
        with pytest.raises(UnknownRelease, match=r"no answer within 0\.2 s"):
            check("3.8.0", timeout_s=0.2)
    finally:
        ended.set()


@pytest.mark.parametrize(
    ("version", "base"),
    [
        ("3.2.1", "3.2.1"),
        ("3.2.7.dev0", "3.2.2"),
        ("3.3.9", "3.3.2"),
        ("3.4.0.dev0", "3.4.0b2"),
        ("3.4.0b1", "3.4.0b2"),
        ("3.1.0b1", "3.1.0"),
    ],
)
def test_a_checkout_s_base_is_its_own_release_or_the_newest_before(version: str, base: str) -> None:
    assert base_release(version).version == base


def test_json_answers_are_read() -> None:
    body = """{"files": [
        {"filename": "apache_airflow-3.8.0.tar.gz", "upload-time": "2030-01-02T23:30:00-02:00"},
        {"filename": "apache_airflow-3.8.0-py3-none-any.whl", "upload-time": "2030-01-03T02:00:00Z"},
        {"filename": "apache_airflow-3.8.1-py3-none-any.whl"},
        {"filename": "something-else.zip"}]}"""
    assert index.parse_json(body) == (Published("3.8.0", date(2030, 1, 3)), Published("3.8.1", None))


def test_html_answers_are_read() -> None:
    body = """<html>
        <a href="../../p/apache-airflow-3.8.0.tar.gz#sha256=0" data-upload-time="2030-01-02T10:00:00.5Z">x</a>
        <a href="../../p/apache_airflow-3.8.1-py3-none-any.whl">y</a></html>"""
    assert index.parse_html(body) == (Published("3.8.0", date(2030, 1, 2)), Published("3.8.1", None))


@pytest.mark.usefixtures("bare")
def test_an_index_told_to_uv_wins_over_one_told_to_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.invalid/simple")
    assert index.index_url() == "https://pip.invalid/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "mine=https://uv.invalid/simple?a=b")
    assert index.index_url() == "https://uv.invalid/simple?a=b"


@pytest.mark.usefixtures("bare")
def test_an_index_in_a_configuration_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "config" / "uv").mkdir(parents=True)
    (tmp_path / "config" / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://u.invalid/simple"\ndefault = true\n')
    assert index.configured_index() == "https://u.invalid/simple"


@pytest.mark.usefixtures("bare")
def test_without_configuration_pip_s_own_index_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A machine-wide configuration file is beyond a test's reach; so is that of the environment that runs it.
    monkeypatch.setattr(index, "configured_index", lambda: None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert re.fullmatch(r"https://\S+/simple/?", index.index_url())


def test_an_index_that_is_a_directory_can_t_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "index_url", lambda: "file:///somewhere/simple")
    with pytest.raises(IndexUnreachable, match="not an http address"):
        index.published_releases()


def test_a_release_that_its_day_breaks_is_resolved_with_its_bounds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path))
    asked: list[str] = []

    def run_uv(_arguments: object, *, stdin: str, **_: object) -> str:
        asked.append(stdin)
        return "structlog==25.4.0 --hash=sha256:0\n"

    monkeypatch.setattr(releases, "run_uv", run_uv)
    bounded, free = (releases.locked(check(version), lambda _: None) for version in ("3.1.1", "3.1.2"))
    assert ["structlog<25.5" in stdin.splitlines() for stdin in asked] == [True, False]
    assert bounded.path.name != "airflow-3.1.1-20251027.txt"  # a lock of a version without bounds may be there
    assert free.path.name == "airflow-3.1.2-20251105.txt"
