"""Writes the tables of docs/reference/commands.md from the parser: `python -m tools.command_reference`.

Each command's section has a region between two marks, with one row an argument or option and the text of `--help`. The
rest of the page is written by hand. A test fails while the page differs from what this module would write.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator

from stress.layout import ROOT
from stress.parsers import parser

PAGE = ROOT / "docs" / "reference" / "commands.md"
_REGION = re.compile(r"(<!-- options: (\w+) -->\n).*?(<!-- options: end -->)", re.DOTALL)


def main() -> int:
    """Write the page if it differs."""
    before = PAGE.read_text()
    after = renewed(before)
    if after != before:
        PAGE.write_text(after)
        print(f"{PAGE.relative_to(ROOT)} written", file=sys.stderr)
    return 0


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command with its parser."""
    actions = parser()._actions  # argparse has no public list of them
    (subparsers,) = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    return dict(subparsers.choices)


def arguments(command: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments and options that `--help` shows, `--help` aside."""
    for action in command._actions:
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
            yield action


def renewed(text: str) -> str:
    """The page's text with every region as the parser says. Raises ValueError if a command has no region."""
    found = commands()
    regions = [match[2] for match in _REGION.finditer(text)]
    if sorted(regions) != sorted(found):
        raise ValueError(f"the page has regions for {sorted(regions)}, and the commands are {sorted(found)}")
    return _REGION.sub(lambda match: match[1] + _section(found[match[2]]) + match[3], text)


def _section(command: argparse.ArgumentParser) -> str:
    rows = [f"| `{_name(action)}` | {_cell(action.help or '')} |" for action in arguments(command)]
    table = ["| argument | meaning |", "|---|---|", *rows] if rows else ["No options."]
    return "\n".join(table) + "\n"


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return ", ".join(action.option_strings) + value


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "\\<")


if __name__ == "__main__":
    raise SystemExit(main())
