"""The `secrets` service of docker-compose.yml: makes a project's secrets in its volume, if they are not there.

    python -m stress.cluster.compose.secrets DIRECTORY

Every container of the project that needs one mounts the volume, read only. The components run as different users, so
the files are readable by all of them; nothing else mounts the volume.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from stress.cluster.base import ClusterSecrets

DIRECTORY = Path("/run/airflow-stress")
HOST = "postgres"
USER = "airflow"


def make(directory: Path) -> None:
    """Write what is missing. The password and the address that holds it are one: both are made, or none."""
    password = secrets.token_urlsafe(24)
    if not (directory / "database_url").exists():
        _write(directory / "postgres_password", password)
        _write(directory / "database_url", f"postgresql+psycopg2://{USER}:{password}@{HOST}")
    made = ClusterSecrets.make()
    named = {
        "jwt_secret": made.jwt_secret,
        "api_secret_key": made.api_secret_key,
        "fernet_key": made.fernet_key,
        "grafana_password": secrets.token_urlsafe(24),
    }
    for name, value in named.items():
        if not (directory / name).exists():
            _write(directory / name, value)


def load(directory: Path = DIRECTORY) -> ClusterSecrets:
    """What the harness needs. Raises OSError if the volume is not mounted."""
    return ClusterSecrets(
        jwt_secret=(directory / "jwt_secret").read_text(),
        api_secret_key=(directory / "api_secret_key").read_text(),
        fernet_key=(directory / "fernet_key").read_text(),
    )


def database_password(directory: Path = DIRECTORY) -> str:
    """The password of PostgreSQL's superuser. Raises OSError if the volume is not mounted."""
    return (directory / "postgres_password").read_text()


def _write(path: Path, value: str) -> None:
    """All of it or nothing: a container that is stopped here must not leave half a secret."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(value)
    scratch.chmod(0o444)
    scratch.replace(path)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
