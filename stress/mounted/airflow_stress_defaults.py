"""Print Airflow's own defaults as JSON, `section.key` to `[default, whether it is a secret]`.

Run by the Python of an arm. It reads the file in which Airflow declares its options and imports nothing of Airflow,
which would take two seconds and would make a configuration file.
"""

import importlib.util
import json
import sys
from pathlib import Path


def main() -> int:
    """Print the defaults. The exit code."""
    import yaml  # type: ignore[import-untyped]  # the arm's own, not the harness's

    spec = importlib.util.find_spec("airflow")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [Path(folder) / "config_templates" / "config.yml" for folder in folders]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        print(f"there is no config_templates/config.yml in {folders}", file=sys.stderr)
        return 1
    sections = yaml.load(found.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    print(
        json.dumps(
            {
                f"{section}.{key}": [option.get("default"), bool(option.get("sensitive"))]
                for section, content in sections.items()
                for key, option in content["options"].items()
            },
            default=str,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
