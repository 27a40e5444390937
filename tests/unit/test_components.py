"""The components of a cluster: their names, order and commands."""

from __future__ import annotations

from stress.components import COMPONENTS, NAMES, TRIGGERERS, Role, components


def test_faults_draw_their_targets_from_an_order_that_never_changes() -> None:
    assert NAMES == ("api-server", "dag-processor", "scheduler-1", "scheduler-2", "triggerer-1", "triggerer-2")
    assert TRIGGERERS == ("triggerer-1", "triggerer-2")


def test_the_api_server_starts_first() -> None:
    assert next(iter(COMPONENTS.values())).role is Role.API_SERVER


def test_peers_are_numbered_from_one() -> None:
    assert [spec.name for spec in components(schedulers=3, triggerers=0)] == [
        *("api-server", "scheduler-1", "scheduler-2", "scheduler-3", "dag-processor")
    ]


def test_the_api_server_has_as_many_processes_as_asked_for() -> None:
    api_server = components(api_workers=3)[0]
    assert api_server.command == ("api-server", "--workers", "3")
