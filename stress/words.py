"""Command lines: the parser of every program of the project, and the words before argparse reads them.

One bad word must not hide the others: argparse stops at its first error, and takes `-1m` in `--budget -1m` for an
option. Here each option that takes a value is joined with the word after it (`--budget=-1m`) unless that word is an
option itself; an option without a value is a mistake that is reported together with all others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from stress.exits import EXIT_USAGE


class Parser(argparse.ArgumentParser):
    """Ends with the project's exit code for bad arguments.

    No abbreviations: a new option must not change the meaning of an old command.
    """

    program: ClassVar[str]
    """Begins each error."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Print the message and where to find help, and exit."""
        print(f"{self.program}: {message}\nTry '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)


def options_of(parser: argparse.ArgumentParser) -> tuple[frozenset[str], frozenset[str]]:
    """The long options of a parser that take a value, and those that do not."""
    valued: set[str] = set()
    flags: set[str] = set()
    for action in parser._actions:  # argparse has no public list of them
        (flags if action.nargs == 0 else valued).update(action.option_strings)
    return frozenset(valued), frozenset(flags)


def joined(words: Sequence[str], valued: frozenset[str], flags: frozenset[str]) -> tuple[list[str], list[str]]:
    """The words with each value joined to its option, and a sentence for each option that has no value."""
    found: list[str] = []
    mistakes: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word not in valued:
            found.append(word)
        elif not rest or rest[0].partition("=")[0] in valued | flags:
            mistakes.append(f"{word}: its value is missing")
        else:
            found.append(f"{word}={rest.pop(0)}")
    return found, mistakes
