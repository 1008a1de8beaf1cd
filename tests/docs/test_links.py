"""Every relative link of a document leads somewhere, and so does every citation in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
CODE = [
    each
    for folder in ("src", "tests", "flows", "docs")
    for suffix in ("py", "sql", "toml", "html")
    for each in (ROOT / folder).rglob(f"*.{suffix}")
]
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SPACE = r"(?:#|--|\s)*"  # a citation may be wrapped over lines of a comment
_QUOTED = re.compile(r'"([^"]+)"')
_CITATION = re.compile(rf'(docs/\w+\.md)((?:{_SPACE}(?:, from|,|and|or|to){_SPACE}"[^"]+")*)')


def headings(page: Path) -> list[str]:
    """Return the headings of a document."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links(page: Path) -> None:
    """The file of each link exists, and so does the heading of its anchor."""
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        target, _, place = link.partition("#")
        if "://" in target:
            continue
        file = page.parent / target if target else page
        if not file.exists() or (place and place not in map(anchor, headings(file))):
            broken.append(link)

    assert broken == []


def test_headings_are_unique() -> None:
    """A citation by heading has one meaning."""
    for page in (ROOT / "docs" / "facts.md", ROOT / "docs" / "design.md"):
        found = headings(page)
        assert len(found) == len(set(found)), page


def test_citations() -> None:
    """Each page and heading that a comment cites is there."""
    broken = []
    for file in CODE:
        for page, cited in _CITATION.findall(file.read_text("utf-8")):
            there = headings(ROOT / page) if (ROOT / page).exists() else []
            # A heading may be wrapped over lines of a comment.
            named = [re.sub(r"\s+(?:#|--)?\s*", " ", each) for each in _QUOTED.findall(cited)]
            if not there or {*named} - {*there}:
                broken.append((str(file.relative_to(ROOT)), page, named))

    assert broken == []
