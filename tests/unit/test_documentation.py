"""The documentation: links lead somewhere, command lines parse, files exist, and tables are as the code says."""

from __future__ import annotations

import argparse
import io
import re
import shlex
import tokenize
from pathlib import Path

import pytest

from stress import exits
from stress.arms import fixes
from stress.arms.releases import DEFAULT_RELEASE, check
from stress.arms.spec import parse_arm
from stress.commands import LISTS
from stress.explore import catalogue
from stress.faults import FAULTS
from stress.judge.costs import MEASURES
from stress.judge.harm import Measure
from stress.layout import ROOT
from stress.parsers import GROUPS, parser
from stress.races.registry import SCENARIOS
from stress.results import RaceState
from tests.markdown_pages import anchors, code, links, pages, prose, text_of
from tools import command_reference
from tools.command_reference import arguments, commands

PAGES = pages()
DESIGN = Path("docs/design.md")
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=str)
PLACEHOLDER = re.compile(r"[A-Z_.]+|X\.Y\.Z")
UNCLEAR = re.compile(
    r"\b(nobody|somebody|whoever|whatever|anybody|told|mend|for ever|hasn't it|lets go|comes again|of its own|"
    r"beginnings|heed|whither)\b",
    re.IGNORECASE,
)
"""Words that personify a process, or that are archaic. CONTRIBUTING.md has the rules for text."""


PLAIN_FOLDERS = ("stress", "dags", "fixes", "benchmarks", "tools")
TEXT_TOKENS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def test_the_readme_is_among_the_pages() -> None:
    assert {Path("README.md"), DESIGN, Path("stress/races/deadlock/README.md")} <= set(PAGES)


@EVERY_PAGE
def test_every_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    broken = []
    for link in links(text_of(page)):
        name, _, fragment = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (fragment and fragment not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    new = [ROOT / "README.md"]
    while new:
        page = new.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        new += [(page.parent / link.partition("#")[0]).resolve() for link in links(page.read_text())]
    lost = [page for page in PAGES if ROOT / page not in reached and page.parts[0] != ".github"]
    assert lost == []


# -- command lines ---------------------------------------------------------------------------------------------------


def words_of(text: str) -> list[list[str]]:
    """The words after `stress` of each call of it in a line of code."""
    found = []
    for name, value in re.findall(r'(AIRFLOW_STRESS_ARGS|make run ARGS)="([^"]*)"', text):
        if value != "...":
            found.append(["run", *shlex.split(value)])
            text = text.replace(f'{name}="{value}"', "")
    for segment in re.split(r"\s(?:\||&&)\s", text):
        call = re.match(
            r"(?:docker compose run --rm |\.venv/bin/|uvx --from \S+ )?(?:airflow-)?stress ([a-z-].*)", segment.strip()
        )
        if call is not None:
            found.append(shlex.split(call[1]))
    return found


def mistakes(words: list[str]) -> list[str]:
    """What is wrong with a command line."""
    if words[0] not in commands():
        return [] if words[0].startswith("--") else [f"no command {words[0]}"]
    if len(words) == 1 or "COMMAND" in words:
        return []
    try:
        options, surplus = parser().parse_known_args(words)
    except SystemExit:
        return ["it does not parse"]
    return [f"no option {word}" for word in surplus] + unknown_names(options)


def unknown_names(options: argparse.Namespace) -> list[str]:
    """The names of races, pairs, arms and so on that do not exist; placeholders in capitals are no names."""
    known = {
        "races": {*catalogue.RACES, *(each.race for each in catalogue.RACES.values()), "all"},
        "pairs": {*catalogue.PAIRS, "all"},
        "what": set(LISTS),
        "scenario": {*SCENARIOS, "toy"},  # docs/adding-a-race.md makes it
        "faults": {*FAULTS, "all"},
    }
    found = []
    for option, names in known.items():
        given = getattr(options, option, None) or []
        values = given.split(",") if isinstance(given, str) else given
        found += [f"{option}: {value}" for value in values if value not in names and not PLACEHOLDER.fullmatch(value)]
    release = getattr(options, "airflow", None)
    for each in (release or "").split(","):  # `stress matrix` takes several
        if each and "/" not in each and not PLACEHOLDER.fullmatch(each):
            check(each)
    for arm in getattr(options, "arm", []):
        if "/" not in arm and "..." not in arm and not PLACEHOLDER.fullmatch(arm):
            parse_arm(arm, check(DEFAULT_RELEASE), fixes.resolve)
    return found


@EVERY_PAGE
def test_every_command_line_of_stress_parses(page: Path) -> None:
    text = text_of(page)
    if page == DESIGN:  # its list of commands is the target; `test_the_design_says_what_is_not_built` is about it
        text = re.sub(r"<!-- not built: begin -->.*<!-- not built: end -->", "", text, flags=re.DOTALL)
        text = re.sub(r"^### Commands\n.*?^### ", "### ", text, flags=re.DOTALL | re.MULTILINE)
    wrong = {" ".join(words): found for line in code(text) for words in words_of(line) if (found := mistakes(words))}
    assert wrong == {}


@pytest.mark.parametrize(
    "line",
    [
        "stress run --no-such-option",
        "stress rerun",
        "stress repro no_such_race",
        "docker compose run --rm stress run --faults nothing",
        'make run ARGS="--what"',
    ],
)
def test_a_wrong_command_line_is_noticed(line: str) -> None:
    assert [mistakes(words) for words in words_of(line)] != [[]]


@EVERY_PAGE
def test_every_make_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    targets |= set(re.findall(r"^STAGES := (.*)$", makefile, re.MULTILINE)[0].split())
    asked = {word for line in code(text_of(page)) if line.startswith("make ") for word in line.split()[1:]}
    assert {word for word in asked if re.fullmatch(r"[a-z-]+", word)} <= targets


@EVERY_PAGE
def test_every_selection_of_pytest_selects_a_test(page: Path) -> None:
    for line in code(text_of(page)):
        call = re.match(r"(?:\S*python -m )?pytest (tests/\S+)(?: -k (\S+))?$", line)
        if call is not None:
            files = [ROOT / call[1]] if call[1].endswith(".py") else sorted((ROOT / call[1]).glob("test_*.py"))
            named = [name for file in files for name in [file.stem, *re.findall(r"def (test_\w+)", file.read_text())]]
            assert [name for name in named if (call[2] or "").lower() in name.lower()], line


@EVERY_PAGE
def test_every_named_file_exists(page: Path) -> None:
    if page in (DESIGN, Path("docs/adding-a-race.md")):  # the target; files that are yet to be made
        return
    folders = "stress|tests|dags|fixes|benchmarks|dashboards|docs|tools|requirements|\\.ci|\\.github"
    asked = [line.split()[0] for line in code(text_of(page)) if re.match(rf"({folders})/[\w./-]+( |$)", line)]
    missing = [name for name in asked if not (ROOT / name).exists() and not ((ROOT / page).parent / name).exists()]
    assert missing == []


# -- what the code says ----------------------------------------------------------------------------------------------


def test_the_tables_of_options_are_as_the_parser_says() -> None:
    text = command_reference.PAGE.read_text()
    assert command_reference.renewed(text) == text, "run `python -m tools.command_reference`"


@pytest.mark.parametrize("command", commands())
def test_every_option_of_a_command_is_in_its_section(command: str) -> None:
    section = command_reference.PAGE.read_text().partition(f"\n## stress {command}\n")[2].partition("\n## ")[0]
    shown = re.findall(r"--[a-z][a-z-]*", commands()[command].format_help())
    assert set(shown) - {"--help"} == {
        name for action in arguments(commands()[command]) for name in action.option_strings
    }
    assert [option for option in shown if option != "--help" and f"`{option}" not in section] == []


def test_the_design_says_what_is_not_built() -> None:
    text = text_of(DESIGN)
    listing = re.search(r"^### Commands\n.*?```\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    status = re.search(r"<!-- not built: begin -->(.*)<!-- not built: end -->", text, re.DOTALL)
    assert listing is not None
    assert status is not None
    lacking = set()
    for line in re.sub(r"\n +", " ", listing[1]).splitlines():
        name = line.split()[1]
        own, *others = re.split(r" \| (?=[a-z]+ [A-Z]|runs|trend)", line) if name == "analyze" else [line]
        lacking |= {f"stress {other.split()[0]}" for other in others if other.split()[0] not in commands()}
        if name not in commands():
            lacking.add(f"stress {name}")
        else:
            have = {option for action in commands()[name]._actions for option in action.option_strings}
            lacking |= {f"stress {name} {option}" for option in re.findall(r"--[a-z][a-z-]*", own)} - {
                f"stress {name} {option}" for option in have
            }
    stated = set()
    for row in re.findall(r"^\| (`.*) \| (.*) \|$", status[1], re.MULTILINE):
        names, options = (re.findall(r"`([^`]+)`", cell) for cell in row)
        stated |= {f"{name} {option}" for name in names for option in options} if options else set(names)
    assert stated == lacking


def test_every_verdict_is_explained_in_the_readme() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ", text_of(Path("README.md")), re.MULTILINE)
    assert rows == [str(state) for state in RaceState]


def test_every_exit_code_is_explained() -> None:
    page = text_of(Path("docs/reference/exit-codes.md"))
    assert {f"{exits.EXIT_FAILED}", f"{exits.EXIT_USAGE}"} <= set(re.findall(r"^\| (\d+) \| ", page, re.MULTILINE))


def test_the_measures_of_harm_are_those_of_the_judge() -> None:
    page = text_of(Path("docs/explanation/harm.md"))
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \| (\w+) \| (.*) \| (.*) \|$", page, re.MULTILINE)

    def size(measure: Measure, value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:.0%}".replace("%", " %") if measure.relative else f"{value:g}"

    assert rows == [
        (
            measure.name,
            measure.unit,
            "higher" if measure.worse_if_higher else "lower",
            size(measure, measure.margin),
            size(measure, measure.interest or None),
        )
        for measure in MEASURES
        if measure.harm
    ]


def test_the_costs_are_those_of_the_judge() -> None:
    page = text_of(Path("docs/explanation/costs.md"))
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \| (.*) \|$", page, re.MULTILINE)
    costs = [measure for measure in MEASURES if measure.relative]
    assert rows == [
        (measure.name, measure.unit, f"{measure.margin:.0%}".replace("%", " %") if measure.margin else "-")
        for measure in costs
    ]


@EVERY_PAGE
def test_a_page_is_written_in_plain_words(page: Path) -> None:
    text = prose(text_of(page))
    if page == DESIGN:  # contracts stand word for word
        text = text.partition("\n## 1. ")[0]
    assert UNCLEAR.findall(text) == []


@pytest.mark.parametrize("folder", PLAIN_FOLDERS)
def test_comments_and_strings_are_written_in_plain_words(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {words}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for token in tokenize.tokenize(io.BytesIO(path.read_bytes()).readline)
        if path.name != "upgrade.py"  # it has texts of earlier versions, word for word
        and token.type in TEXT_TOKENS
        and token.string != '"nobody"'  # the user of that name
        and (words := UNCLEAR.findall(re.sub("`+[^`]*`+", "", token.string)))
    ]
    assert found == []


@pytest.mark.parametrize("command", commands())
def test_help_has_an_example_of_the_command(command: str) -> None:
    epilog = " ".join((commands()[command].epilog or "").split())
    assert re.match("examples?: ", epilog)
    assert re.search(rf"\bstress {command}\b", epilog)


def test_help_names_every_command_once_in_a_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(commands())
    listed = re.findall(r"^  (\w+) {2,}\w", parser().format_help(), re.MULTILINE)
    assert sorted(listed) == sorted(commands())


@pytest.mark.parametrize("command", commands())
def test_help_is_written_in_plain_words(command: str) -> None:
    assert UNCLEAR.findall(commands()[command].format_help()) == []
