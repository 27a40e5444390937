"""Checkouts of Airflow's repository as an arm, at a revision or as they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stress.arms.overlay.checkout import read_checkout, source_directories
from stress.arms.overlay.requirements import misfits, unmet
from stress.arms.releases import check
from stress.arms.spec import arm_text, parse_arm

NO_PROVIDERS: frozenset[str] = frozenset()


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def version_of(root: Path, version: str) -> None:
    write(
        root,
        {
            "airflow-core/src/airflow/__init__.py": f'__version__ = "{version}"\n',
            "airflow-core/pyproject.toml": '[project]\nname = "apache-airflow-core"\ndependencies = ["httpx2>=2"]\n',
            "task-sdk/src/airflow/sdk/__init__.py": '__version__ = "1.4.0"\n',
        },
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in Airflow's layout with two commits, tagged 3.3.2 and 3.4.0, and a provider."""
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "airflow"
    version_of(root, "3.3.2")
    project = '[project]\nname = "apache-airflow-providers-standard"\nversion = "1.2.0"\n'
    write(
        root,
        {
            "providers/standard/pyproject.toml": project,
            "providers/standard/src/airflow/providers/standard/x.py": "",
            "shared/logging/src/airflow_shared/logging/__init__.py": "",
            "docs/index.rst": "not used",
        },
    )
    git(tmp_path, "init", "-q", str(root))
    for version in ("3.3.2", "3.4.0"):
        version_of(root, version)
        git(root, "add", ".")
        git(root, "commit", "-qm", version)
        git(root, "tag", version)
    return root


def test_the_work_tree_is_used_where_it_is(repository: Path) -> None:
    part = read_checkout(repository)
    assert (part.core_version, part.revision) == ("3.4.0", "")
    assert source_directories(part, NO_PROVIDERS) == (
        repository / "airflow-core" / "src",
        repository / "task-sdk" / "src",
    )


def test_a_revision_is_what_it_names_whatever_the_work_tree_is(repository: Path) -> None:
    version_of(repository, "9.9.9")
    part = read_checkout(repository, "3.3.2")
    assert (part.core_version, part.revision) == ("3.3.2", git(repository, "rev-parse", "3.3.2"))
    core, sdk = source_directories(part, NO_PROVIDERS)
    assert (core / "airflow" / "__init__.py").read_text() == '__version__ = "3.3.2"\n'
    assert (sdk / "airflow" / "sdk" / "__init__.py").is_file()


def test_the_users_repository_notices_nothing(repository: Path) -> None:
    def state() -> tuple[str, str, list[tuple[str, int]]]:
        inside = sorted(
            (str(path), path.stat().st_mtime_ns) for path in (repository / ".git").rglob("*") if path.is_file()
        )
        return git(repository, "status", "--porcelain"), git(repository, "worktree", "list"), inside

    before = state()
    source_directories(read_checkout(repository, "3.3.2"), NO_PROVIDERS)
    assert state()[:2] == before[:2]
    assert [path for path, _ in state()[2]] == [path for path, _ in before[2]]


def test_only_what_a_run_uses_is_written(repository: Path, tmp_path: Path) -> None:
    source_directories(read_checkout(repository, "3.3.2"), NO_PROVIDERS)
    (tree,) = (path for path in (tmp_path / "cache" / "checkouts").iterdir() if path.is_dir())
    assert sorted(path.name for path in tree.iterdir()) == [
        ".complete",
        "airflow-core",
        "providers",
        "shared",
        "task-sdk",
    ]


def test_shared_parts_without_links_are_linked(repository: Path) -> None:
    core, sdk = source_directories(read_checkout(repository, "3.3.2"), NO_PROVIDERS)
    assert (core / "airflow" / "_shared" / "logging" / "__init__.py").is_file()
    assert (sdk / "airflow" / "sdk" / "_shared" / "logging" / "__init__.py").is_file()


def test_a_provider_is_used_if_the_release_has_it(repository: Path) -> None:
    installed = frozenset({"apache-airflow-providers-standard"})
    found = source_directories(read_checkout(repository, "3.3.2"), installed)
    assert [path.parts[-3:] for path in found[2:]] == [("providers", "standard", "src")]


def test_what_a_checkout_requires_is_compared(repository: Path) -> None:
    sentence = "apache-airflow-core 3.4.0 requires httpx2>=2, and there is none"
    assert unmet((read_checkout(repository),), {"pydantic": "2"}) == [sentence]
    assert unmet((read_checkout(repository),), {"httpx2": "2.1"}) == []


def test_an_unknown_revision_is_refused(repository: Path) -> None:
    with pytest.raises(ValueError, match=r"has no revision 'nope'"):
        read_checkout(repository, "nope")


def test_a_revision_of_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    version_of(tmp_path / "copy", "3.3.2")
    with pytest.raises(ValueError, match="is not a git checkout"):
        read_checkout(tmp_path / "copy", "main")


def test_a_checkout_may_be_a_folder_of_a_larger_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "all"
    version_of(root / "forks" / "airflow", "3.3.2")
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    core, _ = source_directories(read_checkout(root / "forks" / "airflow", "HEAD"), NO_PROVIDERS)
    assert (core / "airflow" / "__init__.py").is_file()


def test_a_folder_of_a_checkout_and_the_whole_one_are_not_taken_for_each_other(repository: Path) -> None:
    core = repository / "airflow-core"
    (alone,) = source_directories(read_checkout(core, "3.3.2"), NO_PROVIDERS)
    assert (alone / "airflow" / "__init__.py").is_file()
    _, sdk = source_directories(read_checkout(repository, "3.3.2"), NO_PROVIDERS)
    assert (sdk / "airflow" / "sdk" / "__init__.py").is_file()


def test_links_that_lead_out_of_a_folder_are_followed(repository: Path) -> None:
    link = repository / "airflow-core" / "src" / "airflow" / "_shared" / "logging"
    link.parent.mkdir()
    link.symlink_to("../../../../shared/logging/src/airflow_shared/logging")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "a link")
    (core,) = source_directories(read_checkout(repository / "airflow-core", "HEAD"), NO_PROVIDERS)
    assert (core / "airflow" / "_shared" / "logging" / "__init__.py").is_file()


def test_a_clone_without_a_work_tree_has_revisions(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    core, sdk = source_directories(read_checkout(bare, "3.3.2"), NO_PROVIDERS)
    assert (core / "airflow" / "__init__.py").read_text() == '__version__ = "3.3.2"\n'
    assert (sdk / "airflow" / "sdk" / "__init__.py").is_file()
    assert git(bare, "worktree", "list").splitlines() == [f"{bare}  (bare)"]


def test_a_clone_without_a_work_tree_needs_a_revision(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(tmp_path / "bare.git"))
    with pytest.raises(ValueError, match=r"no airflow package in .*bare\.git"):
        read_checkout(tmp_path / "bare.git")


def test_a_shallow_clone_is_named_as_the_reason(repository: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), str(shallow))
    with pytest.raises(ValueError, match=r"has no revision '3\.3\.2', which is a shallow clone: run `git fetch"):
        read_checkout(shallow, "3.3.2")


def test_packages_of_one_checkout_that_do_not_fit_each_other_explain_a_failure(repository: Path) -> None:
    requires = 'dependencies = ["apache-airflow-task-sdk==1.5.0", "httpx2>=2"]'
    write(repository, {"airflow-core/pyproject.toml": f'[project]\nname = "apache-airflow-core"\n{requires}\n'})
    part = read_checkout(repository)
    assert misfits([part]) == ["apache-airflow-core 3.4.0 requires apache-airflow-task-sdk==1.5.0, and there is 1.4.0"]
    assert unmet([part], {"httpx2": "2.1"}) == []


def test_an_arm_of_a_revision_is_written_with_its_hash(repository: Path) -> None:
    arm = parse_arm(f"mine={repository}@3.3.2,fixes:none", check("3.3.2"))
    commit = git(repository, "rev-parse", "3.3.2")
    assert arm_text(arm) == f"mine=airflow:{repository}@{commit},fixes:none"
    assert parse_arm(arm_text(arm), check("3.3.2")) == arm
