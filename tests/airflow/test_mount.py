"""The mount in real processes: what is loaded, what is refused, what is reported, and what is left alone."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mounting import read_report

from airflow_stress_fixes import catalogue, source
from airflow_stress_fixes.fix import COMPONENTS, Fit
from airflow_stress_fixes.known_sources import RELEASES

FIXES_DIRECTORY = Path(catalogue.__file__).parents[1]
TIMEOUT_S = 120


def python(
    code: str, reports: Path | None = None, path: tuple[Path, ...] = (), fixes: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter with the mount on its path, as a component named ``scheduler``."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (FIXES_DIRECTORY, *path, Path(__file__).parent))),
        "AIRFLOW_STRESS_COMPONENT": "scheduler",
        **variables,
    }
    if fixes is not None:
        environment["AIRFLOW_STRESS_FIXES"] = fixes
    if reports is not None:
        environment["AIRFLOW_STRESS_FIX_REPORT_DIR"] = str(reports)
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def is_there(module: str) -> bool:
    """Whether the release has a module."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor its package
        return False


@pytest.mark.parametrize(
    "first", ["", "airflow.jobs.scheduler_job_runner, ", "airflow.jobs.triggerer_job_runner, "], ids=str.strip
)
def test_every_fix_reports_what_the_release_needs(tmp_path: Path, release: str, first: str) -> None:
    # A component imports its job runner first, which then is half executed while the modules of other fixes come in.
    ours = catalogue.resolve("all")
    absent = {module for fix in ours for module in (fix.module, *fix.also) if not is_there(module)}
    assert all(fix.fits(release) is Fit.NOT_NEEDED for fix in ours if absent & {fix.module, *fix.also})
    modules = ", ".join(sorted({module for fix in ours for module in (fix.module, *fix.also)} - absent))
    process = python(f"import os, {first}{modules}; print(os.getpid())", tmp_path, fixes="all")
    assert process.returncode == 0, process.stderr
    assert "airflow-stress fixes:" not in process.stderr

    pid = int(process.stdout.split()[-1])
    assert [file.name for file in tmp_path.iterdir()] == [f"scheduler-{pid}.jsonl"]
    lines = read_report(tmp_path)
    assert all(line.keys() == {"t", "component", "pid", "fix", "status", "detail", "release"} for line in lines)
    assert {(line["component"], line["pid"], line["release"]) for line in lines} == {("scheduler", pid, release)}
    words = {Fit.APPLIES: "loaded", Fit.NOT_NEEDED: "not_needed"}
    for fix in ours:
        fit = fix.fits(release)
        assert fit is not None, f"the catalogue doesn't know {release}"
        # A module that the release lacks is never imported, so the fix stays armed.
        expected = ["armed"] if fix.module in absent else ["armed", words[fit]]
        assert [line["status"] for line in lines if line["fix"] == fix.name] == expected


def overlay(tmp_path: Path, changed: bool) -> Path:
    """A directory that hides Airflow's ``models`` package, with one line of a target changed or not."""
    import airflow

    stock, root = Path(airflow.__file__).parent, tmp_path / "overlay"
    shutil.copytree(stock / "models", root / "airflow" / "models")
    shutil.copy(stock / "__init__.py", root / "airflow")
    file = root / "airflow" / "models" / "trigger.py"
    text = file.read_text()
    line = "remaining_capacity = capacity - len(result)\n"
    assert text.count(line) == 1
    file.write_text(text.replace(line, line.rstrip() + "  # changed\n" if changed else line.rstrip() + "  \n"))
    return root


@pytest.mark.parametrize("changed", [True, False])
def test_changed_source_is_refused_loudly(tmp_path: Path, release: str, changed: bool) -> None:
    """A changed line is refused, and stock code runs; trailing white space alone is no change."""
    applies = catalogue.FIXES["callback_trigger_owner"].fits(release) is Fit.APPLIES
    status = "refused" if changed else "loaded" if applies else "not_needed"
    root = overlay(tmp_path, changed)
    code = "from airflow.models import trigger as t; print(t.__file__, type(t.__loader__).__name__)"
    process = python(
        f"{code}; print('__wrapped__' in dir(t.Trigger.get_sorted_triggers))",
        tmp_path / "reports",
        path=(root,),
        fixes="callback_trigger_owner",
    )
    assert process.returncode == 0, process.stderr
    assert str(root) in process.stdout
    # Tracebacks, resources and pickling go by the loader: it must be the one that Python chose.
    assert "SourceFileLoader" in process.stdout
    assert process.stdout.split()[-1] == str(applies and not changed)
    assert [line["status"] for line in read_report(tmp_path / "reports")] == ["armed", status]
    target = "airflow.models.trigger:Trigger.get_sorted_triggers"
    fix = catalogue.FIXES["callback_trigger_owner"]
    found = source.fingerprint(root / "airflow" / "models" / "trigger.py", "Trigger.get_sorted_triggers")
    for words in (
        "REFUSED fix callback_trigger_owner",
        target,
        str(root),
        str(found),
        "What to do",
        *fix.targets[0].known,
    ):
        assert (words in process.stderr) is changed, words


def test_a_release_that_was_not_examined_is_refused_loudly(tmp_path: Path) -> None:
    """Also if all its targets are unchanged: the functions that call them need not be."""
    root = overlay(tmp_path, changed=False)
    package = root / "airflow" / "__init__.py"
    package.write_text(re.sub(r"(?m)^__version__ = .*", '__version__ = "3.99.0"', package.read_text()))
    code = "from airflow.models.trigger import Trigger as t; print('__wrapped__' in dir(t.get_sorted_triggers))"
    process = python(code, tmp_path / "reports", path=(root,), fixes="callback_trigger_owner")
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[-1] == "False"
    lines = read_report(tmp_path / "reports")
    assert [line["status"] for line in lines] == ["armed", "refused"]
    for text in (process.stderr, lines[-1]["detail"]):
        assert "REFUSED fix callback_trigger_owner: Airflow 3.99.0 was not examined" in text
        assert f"{RELEASES[0]} to {RELEASES[-1]}" in text


def test_a_database_other_than_postgresql_is_refused_loudly(tmp_path: Path) -> None:
    """By all fixes whose reasoning is about row locks; those of the triggerer's comms need no database."""
    names = "callback_trigger_owner,comms_end,triggerer_comms"
    code = "import airflow.jobs.triggerer_job_runner"
    url = f"sqlite:///{tmp_path}/airflow.db"
    process = python(code, tmp_path / "reports", fixes=names, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url)
    assert process.returncode == 0, process.stderr
    last = {line["fix"]: line for line in read_report(tmp_path / "reports")}
    assert last["callback_trigger_owner"]["status"] == "refused"
    for text in (process.stderr, last["callback_trigger_owner"]["detail"]):
        assert "REFUSED fix callback_trigger_owner: the database is sqlite" in text
        assert "postgresql only" in text
    assert sorted(last[name]["status"] for name in ("comms_end", "triggerer_comms")) == ["loaded", "not_needed"]


def test_unknown_name_is_loud_and_reported(tmp_path: Path) -> None:
    process = python("", tmp_path, fixes="triggerer_coms,deadline_claim")
    assert process.returncode == 0
    assert "unknown fix 'triggerer_coms'" in process.stderr
    statuses = {line["fix"]: line["status"] for line in read_report(tmp_path)}
    assert statuses == {"triggerer_coms": "error", "deadline_claim": "armed"}


def test_fixes_that_exclude_each_other_are_not_mounted(tmp_path: Path) -> None:
    process = python("", tmp_path, fixes="all,proposed")
    assert "choose one of them" in process.stderr
    assert {line["status"] for line in read_report(tmp_path)} == {"error"}


@pytest.mark.parametrize("value", [None, "", " ", "none"])
def test_nothing_happens_without_fixes(tmp_path: Path, value: str | None) -> None:
    code = "import sys; print(sorted(m for m in sys.modules if 'airflow' in m), "
    code += "any('airflow_stress' in type(f).__module__ for f in sys.meta_path))"
    process = python(code, tmp_path, fixes=value)
    loaded, hooked = process.stdout.rsplit(maxsplit=1)
    assert (process.returncode, hooked, process.stderr) == (0, "False", "")
    assert loaded == "[]" or value == "none"
    assert list(tmp_path.iterdir()) == []


def test_shadowed_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("HERE = 'the machine'\n")
    process = python("import sitecustomize; print(sitecustomize.HERE)", path=(tmp_path,))
    assert process.stdout == "the machine\n"


def test_broken_mount_is_reported_and_the_process_lives(tmp_path: Path) -> None:
    broken = tmp_path / "fixes"
    shutil.copytree(FIXES_DIRECTORY, broken)
    (broken / "airflow_stress_fixes" / "mount.py").write_text("raise SystemExit('broken')\n")
    environment = {
        "PYTHONPATH": str(broken),
        "AIRFLOW_STRESS_FIXES": "all",
        "AIRFLOW_STRESS_FIX_REPORT_DIR": str(tmp_path),
    }
    process = subprocess.run(
        [sys.executable, "-c", "print('alive')"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert process.stdout == "alive\n"
    assert "THE MOUNT FAILED" in process.stderr
    assert [(line["fix"], line["status"]) for line in read_report(tmp_path)] == [("all", "error")]


def test_catalogue_is_consistent() -> None:
    for name, fix in catalogue.FIXES.items():
        assert fix.name == name
        assert set(fix.components) <= set(COMPONENTS)
        assert set(fix.releases) == set(RELEASES), "each known release has a verdict"
        for release, fit in fix.releases.items():
            found = {t: next(f for f in t.known if release in t.releases(f)) for t in fix.targets}
            assert fix.judge(found).fit is fit, f"{name}: the fingerprints of {release} don't lead to its verdict"


@pytest.mark.parametrize("selection", ["triggerer_comms+deadline_claim", ["deadline_claim", "triggerer_comms"]])
def test_resolve_keeps_the_catalogues_order(selection: Any) -> None:
    assert [fix.name for fix in catalogue.resolve(selection)] == ["triggerer_comms", "deadline_claim"]


def test_a_mixture_of_releases_is_unknown() -> None:
    """The runner of one release with the messages of another one: nobody ever read that together."""
    fix = catalogue.FIXES["triggerer_comms"]
    found = {t: next(iter(t.known)) for t in fix.targets}
    other = fix.targets[2]
    assert fix.judge(found).fit is Fit.APPLIES
    assert fix.judge({**found, other: list(other.known)[-1]}).fit is None
    assert fix.judge({**found, other: None}).fit is None


def test_command_prints_verdicts_of_an_environment(release: str) -> None:
    import airflow

    site_packages = Path(airflow.__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-m", "airflow_stress_fixes.source", str(site_packages)],
        env={"PYTHONPATH": str(FIXES_DIRECTORY)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"release {release}" in process.stdout
    for fix in catalogue.FIXES.values():
        fit = fix.fits(release)
        assert fit is not None
        assert f"{fix.name}: {fit.value}\n" in process.stdout
