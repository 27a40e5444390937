"""The parts of the compose runtime that need no engine: what is taken over, said, and passed on."""

from __future__ import annotations

import gc
import stat
import struct
import warnings
from pathlib import Path
from typing import Any

import pytest
from docker.errors import DockerException

from stress import layout
from stress.arms.releases import check
from stress.arms.spec import parse_arms
from stress.cluster.base import Component, EventKind
from stress.cluster.compose import delayer, engine, outside, secrets
from stress.cluster.compose.member import Member
from stress.cluster.compose.orphans import OrphanedProject, _is_orphaned
from stress.cluster.compose.project import airflow_image
from stress.cluster.compose.service import Service
from stress.cluster.compose.watch import EngineEvent, _event
from stress.components import COMPONENTS, Role
from tests.unit.test_overlay_checkout import git, version_of


def test_secrets_are_made_once_and_the_password_is_the_addresss(tmp_path: Path) -> None:
    secrets.make(tmp_path)
    first = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(first) == {
        *("postgres_password", "database_url", "jwt_secret", "api_secret_key", "fernet_key", "grafana_password")
    }
    assert f":{secrets.database_password(tmp_path)}@" in first["database_url"]
    assert len(set(first.values())) == len(first)
    secrets.make(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == first
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o444}


def test_a_password_without_its_address_is_made_anew_with_it(tmp_path: Path) -> None:
    (tmp_path / "postgres_password").write_text("half of a pair")
    secrets.make(tmp_path)
    assert f":{secrets.database_password(tmp_path)}@" in (tmp_path / "database_url").read_text()


def test_the_projects_own_release_has_the_projects_own_image_and_others_have_their_tag() -> None:
    assert (
        airflow_image("registry:5000/our/airflow:3.2.1-slim", "3.2.1", "3.2.1")
        == "registry:5000/our/airflow:3.2.1-slim"
    )
    assert airflow_image("apache/airflow:3.2.1", "3.3.2", "3.2.1") == "apache/airflow:3.3.2"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run"], ["run"]),
        (["run", "--runtime", "compose", "--seed", "3"], ["run", "--seed", "3"]),
        (["run", "--runtime=compose", "--out=/a", "--arm", "x"], ["run", "--arm", "x"]),
        (["run", "--out", "/a/b", "--no-tui"], ["run", "--no-tui"]),
    ],
)
def test_the_words_of_the_outside_are_passed_on_but_for_where(words: list[str], expected: list[str]) -> None:
    assert outside.inside(words, "b") == [*expected, "--out", "/airflow-stress/runs/b", "--no-tui"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout of Airflow with a commit, and a linked work tree beside it."""
    root = tmp_path / "airflow"
    version_of(root, "3.3.2")
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-qm", "3.3.2")
    git(root, "worktree", "add", "-q", str(tmp_path / "linked"))
    return root


def test_arms_with_code_are_passed_on_with_absolute_paths(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.parent)
    specs = ["stock", "mine=./airflow,fixes:none"]
    arms = parse_arms(specs, check("3.3.2"))
    for words in (["run", "--arm", specs[0], "--seed", "3", f"--arm={specs[1]}"], ["run", "--seed", "3"]):
        passed = outside.inside(words, "b", arms)
        assert passed == [
            *("run", "--seed", "3"),
            *("--arm", "stock=airflow:3.3.2,fixes:none", "--arm", f"mine=airflow:{repository},fixes:none"),
            *("--out", "/airflow-stress/runs/b", "--no-tui"),
        ]


def test_what_arms_are_made_of_is_mounted_each_once(repository: Path, tmp_path: Path) -> None:
    sources, linked = repository / "airflow-core" / "src", tmp_path / "linked"
    patch = tmp_path / "mine.diff"
    patch.write_text(
        "--- a/airflow-core/src/airflow/x.py\n+++ b/airflow-core/src/airflow/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
    )

    def mounted(*texts: str) -> list[Path]:
        return outside.mounted(parse_arms(texts, check("3.3.2")))

    assert mounted("stock") == []
    assert mounted(f"a=diff:{patch}", f"b=diff:{patch}") == [patch]
    assert mounted(f"a={repository}", f"b={repository}@HEAD") == [repository]
    assert mounted(f"a={sources}") == [repository]
    # git's own files of a linked work tree are in the first one.
    assert sorted(mounted(f"a={linked}")) == [repository / ".git", linked]


@pytest.mark.parametrize(
    ("code", "expected"), [("0", 0), ("1", 1), ("137", -9), ("143", -15), ("128", 128), (None, None)]
)
def test_an_exit_by_a_signal_is_a_negative_code_as_on_the_local_runtime(code: str | None, expected: int | None) -> None:
    attributes = {} if code is None else {"exitCode": code}
    message = {"Action": "die", "timeNano": 1_500_000_000, "Actor": {"ID": "c", "Attributes": attributes}}
    read = _event(message)
    assert (read.at, read.container, read.exit_code) == (1.5, "c", expected)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Error while fetching server API version: ('Connection aborted.', PermissionError(13, 'Permission denied'))",
         "usermod"),
        ("Error while fetching server API version: ('Connection aborted.', FileNotFoundError(2, 'No such file'))",
         "systemctl start docker"),
        ("Connection refused", "systemctl start docker"),
        ("client version 1.30 is too old", "does not answer (client version 1.30 is too old)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_engine_is_said_so_that_it_can_be_mended(text: str, part: str) -> None:
    assert part in engine._why(DockerException(text))


def test_an_engine_that_is_not_there_leaves_no_socket_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'docker.sock'}")
    with pytest.raises(engine.EngineError, match="no Docker engine answers"):
        engine.connect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


class FakeImages:
    """The engine's images: what one has by itself."""

    def get(self, _name: str) -> Any:
        config = {"Env": ["PATH=/image/bin", "AIRFLOW_VERSION=3.2.1"], "Entrypoint": ["/entrypoint"], "Cmd": None}
        return type("Image", (), {"attrs": {"Config": {**config, "Labels": {"of": "the image"}, "User": "airflow"}}})


class FakeApi:
    """Takes down what a container is to be made from."""

    def __init__(self) -> None:
        self.made: list[tuple[dict[str, Any], str]] = []

    def create_container_from_config(self, config: dict[str, Any], name: str) -> dict[str, str]:
        self.made.append((config, name))
        return {"Id": "new"}


class FakeEngine:
    """As much of a client as making a container after a pattern needs."""

    def __init__(self) -> None:
        self.images = FakeImages()
        self.api = FakeApi()
        self.containers = type("Containers", (), {"get": staticmethod(lambda key: key)})()


def test_a_pattern_keeps_what_compose_asked_for_and_nothing_of_its_image() -> None:
    client: Any = FakeEngine()
    container: Any = type("Container", (), {})()
    container.name = "p-scheduler-1-1"
    container.labels = {"com.docker.compose.service": "scheduler-1"}
    container.attrs = {
        "Image": "sha256:1",
        "Config": {
            "Image": "apache/airflow:3.2.1",
            "Env": ["PATH=/image/bin", "AIRFLOW_VERSION=3.2.1", "PGAPPNAME=scheduler-1", "OURS=old"],
            "Entrypoint": ["/entrypoint"],
            "Cmd": ["scheduler"],
            "Hostname": "scheduler-1",
            "User": "50000:0",
            "Labels": {"com.docker.compose.service": "scheduler-1", "of": "the image"},
        },
        "HostConfig": {"Binds": ["a:b"]},
        "NetworkSettings": {"Networks": {"p_default": {}}},
    }
    service = Service.of(client, container)
    service.create(client, "run-1", "apache/airflow:3.3.2", {"OURS": "new"})
    service.create(client, "run-1", "apache/airflow:3.3.2", {}, command=("scheduler", "--skip-serve-logs"))
    (config, name), (other, _) = client.api.made
    assert other["Cmd"] == ["scheduler", "--skip-serve-logs"]
    assert name == "p-scheduler-1-1"
    assert config["Image"] == "apache/airflow:3.3.2"
    assert sorted(config["Env"]) == ["OURS=new", "PGAPPNAME=scheduler-1"]
    assert (config["Cmd"], config["User"], config["Hostname"]) == (["scheduler"], "50000:0", "scheduler-1")
    assert "Entrypoint" not in config
    assert config["Labels"] == {
        "com.docker.compose.service": "scheduler-1",
        "org.airflow-stress.run": "run-1",
        "com.docker.compose.config-hash": "run-1",
    }
    assert config["HostConfig"] == {"Binds": ["a:b"]}
    assert config["NetworkingConfig"] == {"EndpointsConfig": {"p_default": {"Aliases": ["scheduler-1"]}}}


def container(service: str = "", status: str = "exited", code: int = 0, **labels: str) -> Any:
    """A container as the engine lists it."""
    made: Any = type("Container", (), {})()
    made.status = status
    made.labels = {"com.docker.compose.service": service, **{f"org.airflow-stress.{k}": v for k, v in labels.items()}}
    made.attrs = {"State": {"ExitCode": code}, "Config": {"Labels": made.labels}}
    return made


def test_a_project_is_orphaned_only_when_a_run_of_it_was_killed() -> None:
    postgres = container("postgres", "running")
    of_a_run = container("scheduler-1", "paused", run="r")
    assert not _is_orphaned((postgres,), (), set()), "started by hand"
    assert not _is_orphaned((postgres, container("stress")), (), set()), "kept up after its run"
    assert not _is_orphaned((of_a_run, container("stress", "running")), (), set()), "its run goes on"
    assert _is_orphaned((of_a_run, postgres), (), set())
    assert _is_orphaned((postgres, container("stress", code=137)), (), set())


def test_a_project_made_for_one_run_is_orphaned_when_nobody_waits_for_it() -> None:
    postgres = container("postgres", "running", 0, **{"one-run": "r1"})
    assert _is_orphaned((postgres,), (), set())
    assert _is_orphaned((postgres,), (), {"r2"})
    assert not _is_orphaned((postgres,), (), {"r1"})
    assert "paused" not in OrphanedProject("p", (postgres,), (), ()).describe()
    assert "(1 paused)" in OrphanedProject("p", (container(status="paused"),), (), ()).describe()


def told_packet(number: int) -> bytes:
    """As the kernel tells of a packet: netlink's header, the subsystem's, and the attribute with the number first."""
    body = struct.pack("!BBH", 2, 0, 0) + struct.pack("=HH", 11, 1) + struct.pack("!IHB", number, 0x0800, 3) + b"\0"
    return struct.pack("=IHHII", 16 + len(body), 3 << 8, 0, 0, 0) + body


def test_the_packets_of_one_reading_are_all_found() -> None:
    assert delayer.packets(told_packet(7) + told_packet(2**31)) == [7, 2**31]


def test_an_error_of_the_kernel_is_not_taken_for_silence() -> None:
    refused = struct.pack("=IHHII", 36, 2, 0, 1, 0) + struct.pack("=i", -1) + b"\0" * 16
    fine = struct.pack("=IHHII", 36, 2, 0, 1, 0) + struct.pack("=i", 0) + b"\0" * 16
    assert delayer.packets(fine) == []
    with pytest.raises(OSError, match="packet queue"):
        delayer.packets(refused)


def test_a_message_to_the_kernel_says_its_length_and_is_padded() -> None:
    made = delayer.message(2, 2, struct.pack("!IB", 0, 1))
    assert struct.unpack_from("=I", made)[0] == len(made)
    assert len(made) % 4 == 0


def test_a_path_is_shown_as_whoever_started_the_container_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    report = layout.ROOT / "runs" / "some" / "report.html"
    monkeypatch.delenv("AIRFLOW_STRESS_RUNS", raising=False)
    assert layout.seen_outside(report) == report
    monkeypatch.setenv("AIRFLOW_STRESS_RUNS", "/home/somebody/kept")
    assert layout.seen_outside(report) == Path("/home/somebody/kept/some/report.html")
    assert layout.seen_outside(Path("/elsewhere/report.html")) == Path("/elsewhere/report.html")


def a_member() -> Member:
    """A component of a block, before the engine has reported its start."""
    container: Any = type("Container", (), {"reload": lambda _: None, "attrs": {"State": {"Pid": 4321}}})()
    return Member(COMPONENTS["scheduler-1"], container, Path("scheduler-1.log"))


def test_the_first_start_of_a_component_is_no_restart_and_the_second_is_one() -> None:
    member = a_member()
    first = member.take(EngineEvent(100.0, "c", "start", None))
    ended = member.take(EngineEvent(107.5, "c", "die", -9))
    assert member.component() == Component("scheduler-1", Role.SCHEDULER, None, 0, Path("scheduler-1.log"))
    second = member.take(EngineEvent(108.0, "c", "start", None))
    events = [first, ended, second]
    assert [(e.kind, e.pid, e.exit_code, e.restarts, e.detail) for e in events if e is not None] == [
        (EventKind.STARTED, 4321, None, 0, ""),
        (EventKind.EXITED, 4321, -9, 0, "after 7.5 s"),
        (EventKind.RESTARTED, 4321, None, 1, ""),
    ]
    assert member.component().pid == 4321


def test_only_the_end_after_running_out_of_memory_is_marked_so() -> None:
    member = a_member()
    member.take(EngineEvent(100.0, "c", "start", None))
    assert member.take(EngineEvent(101.0, "c", "oom", None)) is None
    ends = []
    for at in (102.0, 104.0):
        ends.append(member.take(EngineEvent(at, "c", "die", -9)))
        member.take(EngineEvent(at + 1, "c", "start", None))
    assert [end.out_of_memory for end in ends if end is not None] == [True, False]
