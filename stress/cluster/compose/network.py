"""What is done to a container's network, and undone: from a helper that joins the container's own network namespace.

The images of Airflow have neither the tools nor the capability to change their network, and need neither: a helper made
from the harness's own image joins the namespace (as Pumba does, https://github.com/alexei-led/pumba). What it leaves
there goes with the container at the latest; its rules are in a separate table, so that those of the engine's name
server stay as they are.

Packets are delayed by netem where the kernel has it. Where it has not (there are such kernels; this project was made on
one), the helper stays, and the packets take the way through its process (`delayer`); if that dies, they go straight.
What a component sends is delayed, what comes in is not: for TCP, one is as good as both.
"""

from __future__ import annotations

import contextlib
import time

import docker
import requests
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from stress.cluster.compose.delayer import READY
from stress.cluster.compose.engine import (
    COMPOSE_PROJECT_LABEL,
    HARNESS,
    PROJECT_LABEL,
    RUN_LABEL,
    SERVICE_LABEL,
    EngineError,
    explain,
    explain_for,
    remove,
)
from stress.cluster.errors import ComponentFailed

_NETWORK_OF_LABEL = "org.airflow-stress.network-of"
_INTERFACE = "eth0"
_TIMEOUT_S = 20.0
_LOOK_AGAIN_S = 0.05

_TABLE = "inet airflow_stress"
_QUEUE = f"OUTPUT -o {_INTERFACE} -j NFQUEUE --queue-num 0 --queue-bypass"
_LOSE = """
nft add table {table}
nft add chain {table} sent '{{ type filter hook output priority 0 ; }}'
nft add chain {table} received '{{ type filter hook input priority 0 ; }}'
nft add rule {table} sent ip daddr {address} drop
nft add rule {table} received ip saddr {address} drop
"""
_DELAY = """
tc qdisc replace dev {interface} root netem delay {delay_ms:.3f}ms {jitter_ms:.3f}ms loss {loss_percent:.3f}% && exit 0
iptables -A {queue}
exec python -m stress.cluster.compose.delayer {delay_ms:.3f} {jitter_ms:.3f} {loss_percent:.3f}
"""
# Undone is what isn't there afterwards, whether it ever was or not.
_RESTORE = """
tc qdisc show dev {interface} | grep -q netem && tc qdisc del dev {interface} root
nft list table {table} >/dev/null 2>&1 && nft delete table {table}
while iptables -C {queue} 2>/dev/null; do iptables -D {queue}; done
! tc qdisc show dev {interface} | grep -q netem
! nft list table {table} >/dev/null 2>&1
"""


class Network:
    """Changes the networks of a project's containers."""

    def __init__(self, client: docker.DockerClient, project: str, run_id: str, image: str) -> None:
        self._client = client
        self._labels = {
            PROJECT_LABEL: project,
            RUN_LABEL: run_id,
            # Compose labels the images that it builds: without this it would take a helper for the harness, and its end
            # for the run's.
            COMPOSE_PROJECT_LABEL: "",
            SERVICE_LABEL: "",
        }
        self._image = image

    def name_harness(self, own: Container) -> None:
        """Let Prometheus find the harness as `stress`, which `docker compose run` alone does not do (`--use-aliases`).

        An alias is given when a container is connected, so that it is connected anew. Raises EngineError.
        """
        for endpoint in own.attrs["NetworkSettings"]["Networks"].values():
            aliases = endpoint.get("Aliases") or []
            if HARNESS in aliases:
                continue
            try:
                network = self._client.networks.get(endpoint["NetworkID"])
                network.disconnect(own)
                network.connect(own, aliases=[*aliases, HARNESS])
            except APIError as error:
                raise explain(error, "naming the harness for Prometheus") from error

    def lose(self, container: Container, address: str) -> None:
        """Lose all between the container and an address. Raises EngineError."""
        self._run(container, "set -e\n" + _LOSE.format(table=_TABLE, address=address))

    def delay(self, container: Container, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        """Delay and lose everything that the container sends. Raises EngineError."""
        script = _DELAY.format(
            interface=_INTERFACE, queue=_QUEUE, delay_ms=delay_ms, jitter_ms=jitter_ms, loss_percent=loss_percent
        )
        helper = self._start(container, script)
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            helper.reload()
            said = helper.logs().decode("utf-8", "replace")
            if helper.status == "exited" and helper.attrs["State"]["ExitCode"] == 0:
                remove(helper)  # netem does it
                return
            if helper.status == "running" and READY in said:
                return
            if helper.status == "exited" or time.monotonic() > deadline:
                remove(helper)
                raise EngineError(f"the network of {container.name} can't be slowed: {said.strip()}")
            time.sleep(_LOOK_AGAIN_S)

    def restore(self, container: Container) -> None:
        """Undo both. Nothing is to be undone where nothing was done, or where the container has ended since."""
        for helper in self._client.containers.list(filters={"label": f"{_NETWORK_OF_LABEL}={container.id}"}):
            remove(helper)
        container.reload()
        if container.status not in ("running", "paused"):
            return
        with contextlib.suppress(ComponentFailed):  # it ended meanwhile, and its network with it
            self._run(container, _RESTORE.format(interface=_INTERFACE, table=_TABLE, queue=_QUEUE))

    def _run(self, container: Container, script: str) -> None:
        """Run a script in the container's network namespace; its last command's exit code decides."""
        helper = self._start(container, script)
        try:
            code = helper.wait(timeout=_TIMEOUT_S)["StatusCode"]
            if code != 0:
                said = helper.logs().decode("utf-8", "replace").strip()
                raise EngineError(f"the network of {container.name} can't be changed (exit code {code}): {said}")
        except APIError as error:
            raise explain(error, f"changing the network of {container.name}") from error
        except requests.RequestException as error:
            raise EngineError(f"changing the network of {container.name} took over {_TIMEOUT_S:.0f} s") from error
        finally:
            remove(helper)

    def _start(self, container: Container, script: str) -> Container:
        helper = None
        try:
            helper = self._client.containers.create(
                self._image,
                entrypoint=["sh", "-c"],
                command=[script],
                network_mode=f"container:{container.id}",
                user="0",
                cap_drop=["ALL"],
                cap_add=["NET_ADMIN"],
                labels={**self._labels, _NETWORK_OF_LABEL: str(container.id)},
            )
            helper.start()
        except APIError as error:
            if helper is not None:
                with contextlib.suppress(NotFound):
                    remove(helper)
            raise explain_for(container.name, error, f"changing the network of {container.name}") from error
        return helper
