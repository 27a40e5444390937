"""fixes/README.md: what it tells to mount in Kubernetes is a mount that works, and its table is the catalogue."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from stress.arms.fixes import facts
from stress.layout import ROOT

README = (ROOT / "fixes" / "README.md").read_text()
MAX_CONFIGMAP_BYTES = 1 << 20
TIMEOUT_S = 60


def archive(directory: Path) -> Path:
    """What the first command of the README makes."""
    (line,) = re.findall(r"^python -m zipfile .*$", README, re.MULTILINE)
    _, *words = shlex.split(line)
    name, *sources = words[words.index("--create") + 1 :]
    made = [*words[:3], str(directory / name), *(str(ROOT / source) for source in sources)]
    subprocess.run([sys.executable, *made], check=True, timeout=TIMEOUT_S)
    return directory / name


def config_map(directory: Path) -> Path:
    """The one file of the ConfigMap that the second command makes."""
    (line,) = re.findall(r"^kubectl create configmap .*$", README, re.MULTILINE)
    made = archive(directory)
    assert shlex.split(line)[-1] == f"--from-file={made.name}"
    return made


def test_the_config_map_fits_and_lacks_no_file(tmp_path: Path) -> None:
    made = config_map(tmp_path)
    assert made.stat().st_size < MAX_CONFIGMAP_BYTES
    fixes = ROOT / "fixes"
    wanted = {str(file.relative_to(fixes)) for file in fixes.rglob("*.py")}
    with zipfile.ZipFile(made) as packed:
        assert {name for name in packed.namelist() if name.endswith(".py")} == wanted


def test_a_process_with_the_mount_has_its_fixes(tmp_path: Path) -> None:
    """The mount is laid out as a container has it, and an interpreter is started there."""
    ((path,),) = [re.findall(r"- \{name: stress-fixes, mountPath: (\S+), readOnly: true\}", README)]
    target = tmp_path / PurePosixPath(path).relative_to("/")
    target.mkdir(parents=True)
    config_map(target)
    values = dict(re.findall(r"- \{name: (PYTHONPATH|AIRFLOW_STRESS_FIXES), value: (\S+)\}", README))
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / PurePosixPath(values["PYTHONPATH"]).relative_to("/")),
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
