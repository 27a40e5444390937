"""fixes/README.md: what it tells to mount in Kubernetes is a mount that works, and its table is the catalogue."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path, PurePosixPath

from stress.arms.fixes import facts
from stress.layout import ROOT

README = (ROOT / "fixes" / "README.md").read_text()
MAX_CONFIGMAP_BYTES = 1 << 20
TIMEOUT_S = 60


def config_maps() -> dict[str, dict[str, bytes]]:
    """What the commands of the README make: the files of each ConfigMap. A folder gives its files only."""
    found = {}
    for line in re.findall(r"^kubectl create configmap .*$", README, re.MULTILINE):
        _, _, _, name, source = shlex.split(line)
        path = ROOT / source.removeprefix("--from-file=")
        files = [file for file in path.iterdir() if file.is_file()] if path.is_dir() else [path]
        found[name] = {file.name: file.read_bytes() for file in files}
    return found


def mounts() -> list[tuple[str, PurePosixPath, str]]:
    """The README's mounts: ConfigMap, path, and the one file of it if there is one."""
    pattern = r"- \{name: (\S+), mountPath: (\S+?),(?: subPath: (\S+),)? readOnly: true\}"
    return [(name, PurePosixPath(path), file) for name, path, file in re.findall(pattern, README)]


def test_the_config_maps_fit_and_lack_no_file() -> None:
    maps = config_maps()
    assert all(sum(map(len, files.values())) < MAX_CONFIGMAP_BYTES for files in maps.values())
    wanted = {file.name for file in (ROOT / "fixes").rglob("*.py")}
    assert {name for files in maps.values() for name in files if name.endswith(".py")} == wanted


def test_a_process_with_the_mounts_has_its_fixes(tmp_path: Path) -> None:
    """The mounts are laid out as a container has them, and an interpreter is started there."""
    maps = config_maps()
    for name, path, only in mounts():
        target = tmp_path / path.relative_to("/")
        if only:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(maps[name][only])
        else:
            target.mkdir(parents=True)
            for file, text in maps[name].items():
                (target / file).write_bytes(text)
    values = dict(re.findall(r"- \{name: (PYTHONPATH|AIRFLOW_STRESS_FIXES), value: (\S+)\}", README))
    root = tmp_path / PurePosixPath(values["PYTHONPATH"]).relative_to("/")
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "AIRFLOW_STRESS_FIXES": values["AIRFLOW_STRESS_FIXES"],
        "AIRFLOW_STRESS_COMPONENT": "scheduler",
        "AIRFLOW_STRESS_FIX_REPORT_DIR": str(tmp_path / "reports"),
    }
    process = subprocess.run(
        [sys.executable, "-c", ""], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert process.stderr == ""
    (report,) = (tmp_path / "reports").iterdir()
    assert report.name.startswith("scheduler-")
    assert report.read_text().count('"armed"') == sum(not fix.proposed for fix in facts())


def test_each_component_of_the_chart_has_its_name() -> None:
    named = dict(
        re.findall(r"^(\w+): \{env: \[\{name: AIRFLOW_STRESS_COMPONENT, value: (\S+)\}\]\}", README, re.MULTILINE)
    )
    assert named == {
        "scheduler": "scheduler",
        "triggerer": "triggerer",
        "apiServer": "api-server",
        "dagProcessor": "dag-processor",
    }


def test_the_tables_list_every_fix() -> None:
    assert re.findall(r"^\| `(\w+)` \| [a-z -]+ \| ", README, re.MULTILINE) == [fix.name for fix in facts()]
