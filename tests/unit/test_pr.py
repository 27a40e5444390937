"""`stress pr` as a user types it. What the processes of the revisions print is given; nothing is started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from stress import plan
from stress.cli import main
from stress.explore.outcome import Outcome
from stress.explore.runner import Runner
from stress.pr import request
from stress.pr.comment import Load, cost_section
from stress.pr.request import CONTROL, UNDER_TEST
from stress.pr.verdict import exit_code, judge, upper95
from stress.results import CostChange, HarmMeasure, RaceState, RaceVerdict
from tests.unit.reported import FACTS, example
from tests.unit.test_overlay_checkout import git

ROUTES = "airflow-core/src/airflow/api_fastapi/execution_api/routes/task_instances.py"
SUMMARY = {"kind": "summary"}
STEPS = [
    {
        "actor": "A",
        "operation": "state_update",
        "what": "SELECT 1 FROM dag_run FOR UPDATE",
        "locks": [],
        "waited_for": "B",
        "outcome": "40P01: deadlock detected",
        "frame": "airflow.routes:7 ti_update_state",
    },
    {
        "actor": "B",
        "operation": "refresh",
        "what": "UPDATE task_instance SET state=1",
        "locks": [],
        "waited_for": "A",
        "outcome": "2 rows",
        "frame": "airflow.job:9 _verify",
    },
    {
        "actor": "B",
        "operation": "refresh",
        "what": "COMMIT",
        "locks": [],
        "waited_for": None,
        "outcome": "done",
        "frame": "",
    },
]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a base commit on main, a branch that changes ti_update_state, and one that changes a document."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(request, "directories", lambda *_: ())
    monkeypatch.setattr(request, "environment_for", lambda *_, **__: None)
    monkeypatch.setattr(plan, "is_free", lambda _port: True)
    monkeypatch.setattr(plan, "_memory", list)
    root = tmp_path / "airflow"
    for path, content in (
        ("airflow-core/src/airflow/__init__.py", '__version__ = "3.2.1"\n'),
        (ROUTES, "def ti_update_state():\n    return 1\n\n\ndef other():\n    return 1\n"),
        ("README.md", "one"),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    _commit(root)
    for branch, path, old, new in (
        ("repair", ROUTES, "return 1\n\n", "return 2\n\n"),
        ("beside", ROUTES, "other():\n    return 1", "other():\n    return 2"),
        ("document", "README.md", "one", "two"),
    ):
        git(root, "checkout", "-q", "-b", branch, "main")
        (root / path).write_text((root / path).read_text().replace(old, new))
        _commit(root)
    git(root, "checkout", "-q", "--orphan", "unrelated")
    _commit(root)
    return root


def _commit(root: Path) -> None:
    git(root, "add", ".")
    git(root, "commit", "-qm", "a commit")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, repository: Path) -> Any:
    """Say on which branches the races occur; returns the revisions that are played."""

    def say(*branches: str) -> list[str]:
        having = {git(repository, "rev-parse", branch) for branch in branches}
        asked: list[str] = []

        def ask(self: Runner, wanted: dict[str, Any], *_: Any, **__: Any) -> Iterator[dict[str, Any]]:
            revision = self.overlay[0].revision
            asked.append(revision)
            for _name in wanted["reproducers"]:
                failures = [{"invariant": "deadlock", "detail": "A: deadlock"}] if revision in having else []
                for number in range(wanted["times"]):
                    steps = STEPS if number == 0 else []
                    yield {"kind": "schedule", "ok": not failures, "failures": failures, "steps": steps}
                yield SUMMARY

        monkeypatch.setattr(Runner, "ask", ask)
        return asked

    return say


def run(repository: Path, *words: str) -> int:
    return main(["pr", "--repo", str(repository), "--no-load", "--times", "20", "--out", "out", *words])


def test_a_race_that_only_the_merge_base_has_is_removed(
    played: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = played("main")
    assert run(repository, "--head", "repair", "--race", "deadlock", "--json") == 0
    assert asked == [git(repository, "rev-parse", branch) for branch in ("main", "repair")]
    document = json.loads(capsys.readouterr().out)
    (race,) = document["races"]
    assert (race["verdict"], race["base"][0]["occurred"], race["head"][0]["occurred"]) == ("removed", 20, 0)
    assert race["head"][0]["upper95"] == pytest.approx(0.139, abs=0.0005)
    comment = Path(document["comment"]).read_text()
    for part in (
        "| reproducer `deadlock` | 20 of 20 | 0 of 20 (below 13.9 % of plays with 95 %) |",
        "raises at `airflow.routes:7 ti_update_state`, in A (state_update): 40P01: deadlock detected",
        "B: refresh, 1 statement, COMMIT at the end of the call",
        "SELECT ... FROM dag_run FOR UPDATE",
        "UPDATE task_instance SET state=1",
        "PostgreSQL",
        "tool: airflow-stress ",
        "- `deadlock`: a state update against a DAG version refresh (#66734)",
        "- violated: deadlock: A: deadlock",
        "\nstress pr --repo . --base ",
        "--race deadlock --times 20 --no-load",
    ):
        assert part in comment


@pytest.mark.parametrize(
    ("having", "words", "kind", "attributes"),
    [
        (["main"], ["--race", "deadlock"], None, {"failures": "0", "errors": "0", "skipped": "0"}),
        (["main", "repair"], ["--race", "deadlock"], "failure", {"failures": "1", "errors": "0", "skipped": "0"}),
        ([], ["--race", "deadlock"], "error", {"failures": "0", "errors": "1", "skipped": "0"}),
    ],
)
def test_each_race_asked_for_is_a_test_case(
    played: Any, repository: Path, having: list[str], words: list[str], kind: str | None, attributes: dict[str, str]
) -> None:
    played(*having)
    run(repository, "--head", "repair", *words)
    (suite,) = ET.parse("out/junit.xml").getroot()
    assert suite.attrib.items() >= {"tests": "1", **attributes}.items()
    (case,) = suite.iter("testcase")
    assert (case.get("name"), [child.tag for child in case]) == ("deadlock", [*([kind] if kind else []), "system-out"])
    after = "20 of 20" if "repair" in having else "0 of 20 (below 13.9 % of plays with 95 %)"
    assert f"after {after}" in str(case.findtext("system-out"))
    told = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert str(told["reproduce_with"]).endswith("--race deadlock --times 20 --no-load")


def test_a_race_that_the_diff_chose_and_no_revision_has_is_skipped(played: Any, repository: Path) -> None:
    played()
    run(repository, "--head", "repair")
    cases = list(ET.parse("out/junit.xml").iter("testcase"))
    assert [case.find("skipped") is not None for case in cases] == [True] * len(cases) != []


def test_a_race_that_both_revisions_have_remains(played: Any, repository: Path) -> None:
    played("main", "repair")
    assert run(repository, "--head", "repair", "--race", "deadlock") == 1


def test_a_race_that_only_the_head_has_is_no_success(played: Any, repository: Path) -> None:
    played("repair")
    assert run(repository, "--head", "repair", "--race", "deadlock") == 1


def test_a_race_that_no_revision_has_is_unknown(played: Any, repository: Path) -> None:
    played()
    assert run(repository, "--head", "repair", "--race", "deadlock") == 2


def test_without_a_request_the_races_are_those_whose_code_the_diff_changes(
    played: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played("main")
    assert run(repository, "--head", "repair", "--json") == 0
    chosen = json.loads(capsys.readouterr().out)["chosen"]
    assert chosen["deadlock"].startswith("the diff changes airflow.api_fastapi.execution_api.routes.task_instances:")
    assert "ti_update_state" in chosen["deadlock"]
    assert "out_of_order_frame_cancellation" not in chosen


def test_a_diff_beside_the_known_definitions_concerns_the_races_of_its_module(
    played: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played("main")
    assert run(repository, "--head", "beside", "--json") == 0
    assert json.loads(capsys.readouterr().out)["chosen"]["deadlock"].startswith("the diff changes the module of ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--head", "document"], "the diff changes no code of a known race: name races with --race"),
        (["--head", "nope"], "has no such revision"),
        (["--head", "repair", "--base", "nope"], "--base 'nope'"),
        (["--head", "main"], "adds nothing to --base"),
        (["--head", "unrelated"], "have no common ancestor"),
        (["--head", "repair", "--race", "nope"], "--race 'nope' has neither a reproducer nor a scenario"),
    ],
)
def test_what_can_not_be_compared_is_one_error(
    played: Any, repository: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    asked = played("main")
    assert run(repository, *words) == 64
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
    assert asked == []


def test_a_head_without_a_version_is_one_error(
    played: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "checkout", "-q", "-b", "nameless", "main")
    (repository / "airflow-core/src/airflow/__init__.py").write_text("")
    _commit(repository)
    played("main")
    assert run(repository, "--head", "nameless", "--race", "deadlock") == 64
    (line,) = capsys.readouterr().err.splitlines()
    assert "arm 'head'" in line
    assert "has no __version__" in line


def test_a_directory_without_a_repository_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pr", "--repo", str(tmp_path), "--head", "x", "--no-load"]) == 64
    assert "is not a git checkout" in capsys.readouterr().err


def test_all_mistakes_are_reported_at_once(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--head", "nope", "--race", "nope", "--times", "0", "--budget", "1s", "--metrics-port", "x"]
    assert main(["pr", "--repo", str(repository), *words]) == 64
    told = capsys.readouterr().err
    assert [word for word in ("--head", "--race", "--times", "--budget", "--metrics-port") if word not in told] == []


def verdict(state: RaceState) -> RaceVerdict:
    return RaceVerdict("deadlock", state, "reason", None, None, None, "base", "head", {})


BEFORE, AFTER, NEVER = Outcome("deadlock", 20, 20), Outcome("deadlock", 0, 20), Outcome("deadlock", reason="no")


@pytest.mark.parametrize(
    ("control", "under_test", "load", "state", "code"),
    [
        (BEFORE, AFTER, RaceState.REMOVED, "removed", 0),
        (BEFORE, AFTER, RaceState.TRADED, "traded", 1),
        (BEFORE, AFTER, RaceState.UNKNOWN, "unknown", 2),
        (BEFORE, BEFORE, RaceState.REMOVED, "remains", 1),
        (BEFORE, NEVER, RaceState.REMOVED, "unknown", 2),
        (AFTER, AFTER, RaceState.REMOVED, "not seen", 2),
    ],
)
def test_both_the_reproducer_and_the_load_must_show_it(
    control: Outcome, under_test: Outcome, load: RaceState, state: str, code: int
) -> None:
    judged = judge("deadlock", [control], [under_test], verdict(load), loaded=True)
    assert (judged.state, exit_code([judged], asked=True)) == (state, code)


def test_one_of_several_reproducers_that_is_left_is_reduced() -> None:
    both = [Outcome("a", 5, 5), Outcome("b", 5, 5)]
    judged = judge("x", both, [Outcome("a", 0, 5), Outcome("b", 5, 5)], None, loaded=False)
    assert judged.state == "reduced"


def test_a_race_without_a_reproducer_is_decided_by_the_load() -> None:
    assert judge("x", [], [], verdict(RaceState.REMOVED), loaded=True).state == "removed"


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    assert upper95(20) == pytest.approx(0.1391, abs=5e-5)
    assert upper95(100) == pytest.approx(0.0295, abs=5e-5)


def test_the_checkout_is_left_as_it_is(played: Any, repository: Path) -> None:
    played("main")
    before = git(repository, "status", "--porcelain", "--branch")
    run(repository, "--head", "repair", "--race", "deadlock")
    assert git(repository, "status", "--porcelain", "--branch") == before


def test_the_comment_shows_the_costs_and_apart_from_them_the_other_harm() -> None:
    def harm(name: str, verdict: str) -> HarmMeasure:
        return HarmMeasure(name, "s", {CONTROL: 49.0, UNDER_TEST: 64.0}, verdict, 0.2)

    medians, blocks = {CONTROL: 49.2, UNDER_TEST: 64.6}, {CONTROL: 5, UNDER_TEST: 4}
    slower = CostChange("cpu", "s", medians, blocks, 0.312, 0.094, 0.571, "worse", margin=0.25)
    both = (harm("cpu", "worse"), harm("lock_timeouts", "~"))
    arms = [replace(arm, name=name) for arm, name in zip(example().arms, (CONTROL, UNDER_TEST), strict=True)]
    results = replace(example(), arms=arms, costs=(slower,), harm=both)
    section = cost_section(Load(results, FACTS))
    assert "| cpu, s | +31.2 % | 49.2 | 64.6 | +9.4 to +57.1 % | worse, 25 % |" in section
    assert "| lock_timeouts | 49 s | 64 s | ~ | 0.20 |" in section
    assert section.count("cpu") == 1
    assert cost_section(None).endswith("Not measured: no load was run.")
