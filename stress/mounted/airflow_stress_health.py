"""A component's health check in a container: exit code 0 if it has given a sign of life in the last seconds.

Airflow's own (`airflow jobs check`) imports Airflow, 2 to 5 s of CPU for each look at each component; two cores can't
pay for that. The sign of life is the same: the component's row in the `job` table, found by its host name. The
api-server has no row and is asked for its version.
"""

import os
import subprocess
import sys
import urllib.request

COMPONENT = os.environ["AIRFLOW_STRESS_COMPONENT"]
# Longer than any component's heartbeat interval (5 s at most by default), shorter than a start.
ALIVE = """
SELECT 1 FROM job WHERE hostname = %s AND state = 'running' AND latest_heartbeat > now() - interval '15 seconds'
"""


def api_server_answers() -> bool:
    with urllib.request.urlopen("http://127.0.0.1:8080/api/v2/version", timeout=3) as response:
        return bool(response.status == 200)


def heartbeat_is_fresh() -> bool:
    import psycopg2  # type: ignore[import-not-found,import-untyped,unused-ignore]

    # The same command that Airflow runs for the address.
    command = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD"]
    url = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout  # noqa: S602
    with psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=3, application_name="health") as connection:
        cursor = connection.cursor()
        cursor.execute(ALIVE, (COMPONENT,))
        return cursor.fetchone() is not None


if __name__ == "__main__":
    try:
        healthy = api_server_answers() if COMPONENT == "api-server" else heartbeat_is_fresh()
    except Exception as error:
        sys.exit(f"{COMPONENT}: {error}")
    sys.exit(0 if healthy else f"{COMPONENT}: no heartbeat in the last seconds")
