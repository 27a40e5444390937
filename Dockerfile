# The harness with its load generator, for docker-compose.yml. dags/ and fixes/ are mounted, not built in.
FROM python:3.11.13-slim-bookworm

# git applies an arm's diff and reads a checkout's revision; the others are for faults of a component's network.
RUN apt-get update \
 && apt-get install -y --no-install-recommends git iproute2 iptables nftables \
 && rm -rf /var/lib/apt/lists/*

# Places that volumes take their first permissions from: other containers write there as other users.
RUN mkdir -p /run/airflow-stress /airflow-stress/shared /airflow-stress/postgres-log \
 && chown 65534:65534 /run/airflow-stress \
 && chmod 1777 /airflow-stress/shared /airflow-stress/postgres-log

WORKDIR /airflow-stress
COPY requirements/stress-image.txt requirements/
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --require-hashes -r requirements/stress-image.txt
COPY . .
ENTRYPOINT ["python", "-m", "stress"]
