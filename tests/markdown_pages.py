"""The Markdown pages of the project, as the tests of the documentation read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stress.layout import ROOT

_NOT_OURS = {"runs", "dist", "build"}
_FENCE = re.compile(r"^(```|~~~).*?\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.MULTILINE)
_ANCHOR = re.compile(r'<a id="([^"]+)">')


def pages() -> list[Path]:
    """Every page of the work tree, by its path below the root."""
    found = []
    for path in ROOT.rglob("*.md"):
        page = path.relative_to(ROOT)
        hidden = [part for part in page.parts if part.startswith(".") and part != ".github"]
        if not hidden and page.parts[0] not in _NOT_OURS:
            found.append(page)
    return sorted(found)


def text_of(page: Path) -> str:
    """The page's text."""
    return (ROOT / page).read_text()


def prose(text: str) -> str:
    """The text without its code blocks."""
    return _FENCE.sub("", text)


def code(text: str) -> Iterator[str]:
    """Each line of a code block, up to the explanation two spaces after it, and each code span of the prose."""
    for match in _FENCE.finditer(text):
        for line in match[2].splitlines():
            yield re.split(r"\s{2,}", line.strip())[0]
    for match in _SPAN.finditer(prose(text)):
        yield " ".join(match[2].split())


def links(text: str) -> list[str]:
    """The targets of all links in the prose that lead to a file or a heading of the project."""
    found = _LINK.findall(_SPAN.sub("", prose(text)))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """The fragments that lead somewhere in a page, as GitHub makes them of headings, and explicit ones."""
    seen: Counter[str] = Counter()
    found = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(prose(text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found
