"""The cluster as containers: `docker-compose.yml` says what there is, this package makes each block of it.

outside.py     `stress run --runtime compose` on a machine: runs the compose form, and ends it
runtime.py     inside the `stress` container: what all blocks share
cluster.py     one block's containers
member.py      one component of a block
project.py     the project's containers, by service
overlays.py    wheels, checkouts and diffs of arms, in a volume that the components read
service.py     a compose service as a pattern for containers
engine.py      the Docker engine, and what can be wrong with it
watch.py       what the engine tells: containers that start, end, or run out of memory
logs.py        a container's output, followed into a file
network.py     what is done to a container's network, and undone
secrets.py     a project's secrets, made once
orphans.py     what a killed harness left behind
"""
