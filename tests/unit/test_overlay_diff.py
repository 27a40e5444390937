"""Diffs against Airflow's repository, applied to installed packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.arms.errors import EnvironmentFailed
from stress.arms.overlay import Part
from stress.arms.overlay.diff import apply, installed_paths, read_diff, split

CHANGE = "@@ -1,2 +1,2 @@\n first\n-second\n+changed\n"


def diff_of(*paths: str, prefix: str = "") -> str:
    return "".join(
        f"diff --git a/{prefix}{p} b/{prefix}{p}\n--- a/{prefix}{p}\n+++ b/{prefix}{p}\n{CHANGE}" for p in paths
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installed packages: core, task-sdk and a provider, and a shared part in two of them."""
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    for name in (
        "models/trigger.py",
        "sdk/api.py",
        "providers/standard/x.py",
        "_shared/logging/log.py",
        "sdk/_shared/logging/log.py",
        "_shared/dagnode/node.py",
    ):
        file = tmp_path / "site-packages" / "airflow" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("first\nsecond\n")
    return tmp_path / "site-packages"


def applied(site: Path, text: str) -> dict[str, str]:
    """The files that the diff changes, and their new text."""
    file = site.parent / "my.diff"
    file.write_text(text)
    tree = apply(read_diff(file), site, "base")
    found = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*.py")}
    return {name: text for name, text in found.items() if text != "first\nsecond\n"}


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("airflow-core/src/airflow/models/trigger.py", ["airflow/models/trigger.py"]),
        ("src/airflow/models/trigger.py", ["airflow/models/trigger.py"]),
        ("airflow/models/trigger.py", ["airflow/models/trigger.py"]),
        ("task-sdk/src/airflow/sdk/api.py", ["airflow/sdk/api.py"]),
        ("providers/standard/src/airflow/providers/standard/x.py", ["airflow/providers/standard/x.py"]),
        (
            "shared/logging/src/airflow_shared/logging/log.py",
            ["airflow/_shared/logging/log.py", "airflow/sdk/_shared/logging/log.py"],
        ),
        ("shared/dagnode/src/airflow_shared/dagnode/node.py", ["airflow/_shared/dagnode/node.py"]),
    ],
)
def test_a_file_of_the_repository_is_changed_where_it_is_installed(site: Path, path: str, places: list[str]) -> None:
    assert applied(site, diff_of(path)) == dict.fromkeys(places, "first\nchanged\n")


@pytest.mark.parametrize(
    "path",
    [
        "airflow-core/tests/unit/models/test_trigger.py",
        "airflow-core/docs/index.rst",
        "airflow-core/newsfragments/1.bugfix.rst",
        "airflow-core/src/airflow/ui/src/main.tsx",
        "airflow-core/src/airflow/../../../x.py",
    ],
)
def test_a_file_that_no_component_reads_is_left_out(site: Path, path: str) -> None:
    assert installed_paths(path) == ()
    changed = applied(site, diff_of(path, "airflow-core/src/airflow/models/trigger.py"))
    assert list(changed) == ["airflow/models/trigger.py"]


def test_the_installed_packages_stay_as_they_are(site: Path) -> None:
    applied(site, diff_of("airflow-core/src/airflow/models/trigger.py"))
    assert (site / "airflow" / "models" / "trigger.py").read_text() == "first\nsecond\n"


def test_a_diff_that_git_did_not_write_is_applied(site: Path) -> None:
    text = f"--- airflow/models/trigger.py\t2026-01-01\n+++ airflow/models/trigger.py\t2026-01-02\n{CHANGE}"
    assert list(applied(site, text)) == ["airflow/models/trigger.py"]


def test_a_file_can_be_added_and_one_removed(site: Path) -> None:
    core = "airflow-core/src/airflow/models"
    text = (
        f"diff --git a/{core}/new.py b/{core}/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/{core}/new.py\n"
        "@@ -0,0 +1 @@\n+new\n"
        f"diff --git a/{core}/trigger.py b/{core}/trigger.py\ndeleted file mode 100644\n--- a/{core}/trigger.py\n"
        "+++ /dev/null\n@@ -1,2 +0,0 @@\n-first\n-second\n"
    )
    file = site.parent / "my.diff"
    file.write_text(text)
    tree = apply(read_diff(file), site, "base")
    assert (tree / "airflow" / "models" / "new.py").read_text() == "new\n"
    assert not (tree / "airflow" / "models" / "trigger.py").exists()


def test_a_file_can_be_renamed(site: Path) -> None:
    core = "airflow-core/src/airflow/models"
    text = (
        f"diff --git a/{core}/trigger.py b/{core}/other.py\nsimilarity index 100%\n"
        f"rename from {core}/trigger.py\nrename to {core}/other.py\n"
    )
    file = site.parent / "my.diff"
    file.write_text(text)
    tree = apply(read_diff(file), site, "base")
    assert (tree / "airflow" / "models" / "other.py").read_text() == "first\nsecond\n"
    assert not (tree / "airflow" / "models" / "trigger.py").exists()


def test_a_removed_line_that_looks_like_a_header_is_a_line() -> None:
    text = "--- a/airflow/x.sql\n+++ b/airflow/x.sql\n@@ -1,2 +1,2 @@\n--- a comment\n+++ b comment\n same\n"
    assert [(file.old, file.new) for file in split(text)] == [("airflow/x.sql", "airflow/x.sql")]


def test_a_diff_that_does_not_apply_leaves_nothing(site: Path) -> None:
    (site / "airflow" / "models" / "trigger.py").write_text("another\nrelease\n")
    file = site.parent / "my.diff"
    file.write_text(diff_of("airflow-core/src/airflow/models/trigger.py"))
    with pytest.raises(EnvironmentFailed, match=r"my\.diff does not apply to the packages of base: .*trigger\.py"):
        apply(Part("diff", file), site, "base")
    assert not list((site.parent / "cache" / "overlays").glob("diff-*/airflow"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no diff at all\n", "is not a unified diff"),
        ("", "is not a unified diff"),
        (diff_of("airflow-core/docs/index.rst"), "changes no file that Airflow runs"),
    ],
)
def test_a_file_that_is_no_use_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "x.diff").write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_diff(tmp_path / "x.diff")


def test_a_new_shared_part_that_no_package_has_is_refused(site: Path) -> None:
    path = "shared/unheard_of/src/airflow_shared/unheard_of/x.py"
    with pytest.raises(EnvironmentFailed, match="no package of the release has the shared part of"):
        applied(site, diff_of(path))


def test_a_file_that_moves_out_of_what_runs_is_refused(tmp_path: Path) -> None:
    core = "airflow-core/src/airflow/x.py"
    text = f"diff --git a/{core} b/docs/x.py\nsimilarity index 100%\nrename from {core}\nrename to docs/x.py\n"
    (tmp_path / "x.diff").write_text(text)
    with pytest.raises(ValueError, match="in or out of what Airflow runs"):
        read_diff(tmp_path / "x.diff")
