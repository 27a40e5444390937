"""Arms as the user writes them."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pytest

from stress.arms.errors import ArmSpecError
from stress.arms.fixes import resolve
from stress.arms.releases import Release, check
from stress.arms.spec import arm_text, parse_arm, parse_arms

DEFAULT = check("3.2.1")


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ArmSpecError) as caught:
        parse_arm(text, DEFAULT)
    return caught.value.problems


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A source tree laid out as Airflow's own repository, of a version that is not out yet."""
    package = tmp_path / "airflow-core" / "src" / "airflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('from x import y\n__version__ = "3.2.9.dev0"\n')
    (tmp_path / "task-sdk" / "src" / "airflow" / "sdk").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel with an airflow package in it."""
    path = tmp_path / "apache_airflow_core-3.2.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("airflow/__init__.py", '__version__ = "3.2.1"\n')
        archive.writestr("apache_airflow_core-3.2.1.dist-info/METADATA", "Name: apache-airflow-core\nVersion: 3.2.1\n")
    return path


@pytest.fixture
def sdk_wheel(tmp_path: Path) -> Path:
    """A wheel of the task-sdk."""
    path = tmp_path / "apache_airflow_task_sdk-1.2.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("airflow/sdk/__init__.py", "")
        archive.writestr("x.dist-info/METADATA", "Name: apache-airflow-task-sdk\nVersion: 1.2.1\n")
    return path


@pytest.fixture
def diff(tmp_path: Path) -> Path:
    """A diff of one line of Airflow's core."""
    path = tmp_path / "mine.diff"
    path.write_text(
        "--- a/airflow-core/src/airflow/x.py\n+++ b/airflow-core/src/airflow/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
    )
    return path


@pytest.mark.parametrize(("text", "fixes"), [("stock", ()), ("proposed", ("proposed",)), ("fixed", ("all",))])
def test_three_names_say_what_they_are(text: str, fixes: tuple[str, ...]) -> None:
    arm = parse_arm(text, DEFAULT)
    assert (arm.name, arm.airflow, arm.fixes, arm.config) == (text, DEFAULT, fixes, ())


def test_any_other_name_needs_a_right_hand_side() -> None:
    assert "mine=fixes:all" in problems_of("mine")[0]


@pytest.mark.parametrize("text", ["new=airflow:3.1.8,fixes:a+b", "new=fixes:a+b,airflow:3.1.8", "new,fixes:a+b,3.1.8"])
def test_items_come_in_any_order(text: str) -> None:
    arm = parse_arm(text, DEFAULT)
    assert (arm.airflow.version, arm.fixes) == ("3.1.8", ("a+b",))


def test_a_config_value_may_hold_commas_and_equals_signs() -> None:
    arm = parse_arm("c=config:core.a=1,2,x=3,config:database.b=http://h,fixes:none", DEFAULT)
    assert arm.config == (("core.a", "1,2,x=3"), ("database.b", "http://h"))


def test_every_mistake_is_told() -> None:
    found = problems_of("Bad Name=airflow:2.10.0,fixes:all+x,config:nosection=1,color:red")
    assert len(found) == 5
    for part in ("Bad Name", "too old", "can't be joined", "config:section.key=value", "color:red"):
        assert any(part in problem for problem in found), part


def test_a_resolver_names_the_fixes_of_the_release() -> None:
    def resolve(group: str, release: Release) -> tuple[str, ...]:
        assert release.version == "3.1.8"
        return ("one", "two") if group == "all" else ()

    assert parse_arm("x=airflow:3.1.8,fixes:all", DEFAULT, resolve).fixes == ("one", "two")


def test_a_resolver_s_refusal_is_one_of_the_mistakes() -> None:
    def refuse(group: str, release: Release) -> tuple[str, ...]:
        raise ValueError(f"no fix {group} for {release.version}")

    with pytest.raises(ArmSpecError, match=r"no fix a for 3\.2\.1"):
        parse_arm("x=fixes:a", DEFAULT, refuse)


def test_two_arms_can_t_share_a_name() -> None:
    with pytest.raises(ArmSpecError, match="'stock' is given 2 times"):
        parse_arms(["stock", "fixed", "stock=airflow:3.1.8"], DEFAULT)


def test_the_mistakes_of_all_arms_are_told_at_once() -> None:
    with pytest.raises(ArmSpecError) as caught:
        parse_arms(["A=fixes:all", "b", "stock"], DEFAULT)
    assert len(caught.value.problems) == 2


def test_a_checkout_lies_over_the_newest_release_before_it(checkout: Path) -> None:
    arm = parse_arm(f"mine={checkout},fixes:none", DEFAULT)
    assert arm.airflow.version == "3.2.2"
    (part,) = arm.overlay
    assert (part.kind, part.path, part.core_version) == ("checkout", checkout, "3.2.9.dev0")


def test_a_directory_without_airflow_is_refused(tmp_path: Path) -> None:
    assert "no airflow package" in problems_of(f"mine={tmp_path}")[0]


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    assert "neither a wheel nor a directory" in problems_of(f"mine={tmp_path}/none")[0]


def test_reading_a_wheel_writes_nothing(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_STRESS_CACHE", str(tmp_path / "cache"))
    assert [part.path for part in parse_arm(f"mine={wheel}", DEFAULT).overlay] == [wheel]
    assert not (tmp_path / "cache").exists()


def test_several_wheels_are_one_arm(wheel: Path, sdk_wheel: Path) -> None:
    arm = parse_arm(f"mine={wheel}+{sdk_wheel},fixes:none", DEFAULT)
    assert [package.name for part in arm.overlay for package in part.packages] == [
        "apache-airflow-core",
        "apache-airflow-task-sdk",
    ]


def test_a_wheel_without_the_core_lies_over_the_runs_release(sdk_wheel: Path) -> None:
    assert parse_arm(f"mine={sdk_wheel}", check("3.1.8")).airflow.version == "3.1.8"


def test_a_package_can_not_be_given_twice(wheel: Path) -> None:
    assert problems_of(f"mine={wheel}+{wheel}") == ("arm 'mine': apache-airflow-core is given 2 times: give each once",)


def test_a_file_name_may_hold_a_plus_sign(wheel: Path) -> None:
    local = wheel.rename(wheel.with_name("apache_airflow_core-3.2.1+mine-py3-none-any.whl"))
    assert [part.path for part in parse_arm(f"mine={local}", DEFAULT).overlay] == [local]


def test_a_folder_name_may_hold_an_at_sign(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("airflow@home"))
    assert [(part.path, part.revision) for part in parse_arm(f"mine={moved}", DEFAULT).overlay] == [(moved, "")]


def test_a_wheel_has_no_revision(wheel: Path) -> None:
    assert "has no revision 'main'" in problems_of(f"mine={wheel}@main")[0]


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_text("no zip")
    assert "can't be read as a wheel" in problems_of(f"mine={tmp_path}/x.whl")[0]


def test_a_diff_lies_over_the_release_that_is_named_or_the_runs(diff: Path) -> None:
    assert parse_arm(f"mine=diff:{diff}", DEFAULT).airflow is DEFAULT
    arm = parse_arm(f"mine=airflow:3.1.8,diff:{diff}", DEFAULT)
    assert (arm.airflow.version, [part.kind for part in arm.overlay]) == ("3.1.8", ["diff"])


def test_a_diff_does_not_lie_over_a_wheel(diff: Path, wheel: Path) -> None:
    assert "not over a wheel or a checkout" in problems_of(f"mine={wheel},diff:{diff}")[0]


def test_the_default_release_can_be_any() -> None:
    other = Release("3.9.9", date(2027, 1, 1), None)
    assert parse_arm("stock", other).airflow is other


@pytest.mark.parametrize("path", ["~nobody-at-all/airflow", "/" + "x" * 5000, "no-such-directory/airflow"])
def test_a_path_that_can_not_be_looked_at_is_a_mistake_and_no_traceback(path: str) -> None:
    with pytest.raises(ArmSpecError) as raised:
        parse_arm(f"mine={path}", check("3.2.1"))
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize("text", ["mine=/a/core.whl,/a/sdk.whl", "mine=airflow:/a/core.whl,airflow:/a/sdk.whl"])
def test_wheels_with_a_comma_between_them_are_told_how_to_be_joined(text: str) -> None:
    assert "join wheels with '+', as in a.whl+b.whl" in "; ".join(problems_of(text))


def test_the_text_of_an_arm_reads_as_the_same_arm(
    checkout: Path, wheel: Path, sdk_wheel: Path, diff: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(wheel.parent)
    for text in (
        "stock",
        f"mine={checkout},fixes:none",
        f"mine={wheel.name}+{sdk_wheel},config:scheduler.max_tis_per_query=64,config:core.x=a,b",
        f"mine=airflow:3.1.8,diff:{diff},fixes:deadline_claim+triggerer_comms",
    ):
        arm = parse_arm(text, DEFAULT, resolve)
        assert parse_arm(arm_text(arm), DEFAULT, resolve) == arm
