"""What does a run say of arms that remove a race and do harm? `.venv/bin/python -m benchmarks.harmful_arms [NAME...]`

Each arm is a copy of the release's `airflow` package with one change, so that the whole way is tried: overlay, cluster,
observers, judge. Runs `stress run` once for each (3 to 5 min), prints its tables, and exits with 1 if an arm was called
`removed`, or was not called `traded` although the race's incidents are gone. The measures of harm have unit tests; this
shows that a real cluster gives the judge what it needs.

`--out DIR` keeps the runs there (default: a new directory below the current one, named in the output).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stress.arms.environments import environment_for
from stress.arms.releases import check

RELEASE = "3.2.1"
STRESS = Path(sys.executable).with_name("stress")


@dataclass(frozen=True)
class Harm:
    """A change of one file of the `airflow` package; each text must be in it exactly once after `within`."""

    about: str
    race: str
    scenario: str
    fixes: str = "all"
    file: str = ""
    within: str = ""
    changes: tuple[tuple[str, str], ...] = ()


HARMS = {
    "drops_callbacks": Harm(
        about="40 % of the callbacks are reported as successful and never run",
        race="duplicate_callback",
        scenario="deadline_miss",
        file="triggers/callback.py",
        within="async def run(self)",
        changes=(
            (
                "            callback = import_string(self.callback_path)\n",
                "            import random\n"
                "            if random.random() < 0.4:\n"
                "                yield TriggerEvent({PAYLOAD_STATUS_KEY: CallbackState.SUCCESS})\n"
                "                return\n"
                "            callback = import_string(self.callback_path)\n",
            ),
        ),
    ),
    "answers_503": Harm(
        about="a state update waits for a lock for 60 ms, less than deadlock_timeout, and then answers 503",
        race="deadlock",
        scenario="version_churn",
        # Without the fix of this deadlock, and without the one whose target the change is in.
        fixes="scheduling_retry_locks+sweep_row_claims+clearing_row_locks+marking_run_lock+run_marking_row_locks",
        file="api_fastapi/execution_api/routes/task_instances.py",
        within="def ti_update_state(",
        changes=(
            (
                "    bind_contextvars(ti_id=str(task_instance_id))\n"
                '    log.debug("Updating task instance state", new_state=ti_patch_payload.state)\n',
                "    from sqlalchemy import text\n"
                "    from sqlalchemy.exc import OperationalError\n"
                "    session.execute(text(\"SET LOCAL lock_timeout = '60ms'\"))\n",
            ),
            (
                "    except NoResultFound:\n",
                "    except OperationalError:\n"
                '        raise HTTPException(status_code=503, detail="try again")\n'
                "    except NoResultFound:\n",
            ),
        ),
    ),
    "delays_updates": Harm(
        about="every state update takes 200 ms longer",
        race="deadlock",
        scenario="version_churn",
        file="api_fastapi/execution_api/app.py",
        within="class JWTReissueMiddleware(",
        changes=(
            (
                "        response: Response = await call_next(request)\n",
                "        import asyncio\n"
                '        if request.url.path.endswith("/state"):\n'
                "            await asyncio.sleep(0.2)\n"
                "        response: Response = await call_next(request)\n",
            ),
        ),
    ),
    "proposed_refresh": Harm(
        about="the repair that #66734 proposes, which leaves task instances behind their run's version",
        race="deadlock",
        scenario="version_churn",
        fixes="proposed_ordered_version_refresh",
    ),
}


def main(names: list[str], out: Path) -> int:
    """Run each; 1 if one was judged wrongly."""
    wrong = []
    for name in names:
        harm = HARMS[name]
        print(f"\n=== {name}: {harm.about}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            spec = f"{name}=fixes:{harm.fixes}"
            if harm.file:
                spec = f"{name}={_changed(harm, Path(scratch))},fixes:{harm.fixes}"
            directory = out / name
            arms = ("--arm", "stock", "--arm", spec)
            where = ("--out", str(directory), "--metrics-port", "9377")
            words = (str(STRESS), "run", "--no-tui", "--airflow", RELEASE, "--scenario", harm.scenario, *arms, *where)
            code = subprocess.run(words, check=False).returncode
        race = json.loads((directory / "results.json").read_text())["races"][harm.race]
        left = race["arms"][name]["incidents"]
        print(
            f"=== {name}: {harm.race} {race['verdict']} with {left} incidents left, exit code {code}: {race['reason']}"
        )
        if race["verdict"] == "removed" or code == 0 or (left == 0 and race["verdict"] != "traded"):
            wrong.append(name)
    print("\nJudged wrongly: " + (", ".join(wrong) or "none"))
    return int(bool(wrong))


def _changed(harm: Harm, scratch: Path) -> Path:
    """A copy of the release's package with the change."""
    source = environment_for(check(RELEASE)).site_packages / "airflow"
    shutil.copytree(source, scratch / "airflow", ignore=shutil.ignore_patterns("__pycache__"))
    path = scratch / "airflow" / harm.file
    before, mark, text = path.read_text(encoding="utf-8").partition(harm.within)
    if not mark:
        raise SystemExit(f"{harm.file} of {RELEASE} has no {harm.within!r}")
    for old, new in harm.changes:
        if old not in text:
            raise SystemExit(f"{harm.file} of {RELEASE} has no {old!r} after {harm.within!r}")
        text = text.replace(old, new, 1)
    path.write_text(before + mark + text, encoding="utf-8")
    return scratch


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", choices=[*HARMS, []], help=", ".join(HARMS))
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    sys.exit(main(options.names or list(HARMS), options.out or Path(tempfile.mkdtemp(prefix="harmful-", dir="."))))
