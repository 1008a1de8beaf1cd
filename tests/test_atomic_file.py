"""A file is written completely, or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.atomic_file import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """No other file is left in the folder."""
    path = tmp_path / "page.html"
    for content in (b"one", b"another"):
        write_atomically(path, content)

        assert path.read_bytes() == content
        assert [*tmp_path.iterdir()] == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The target of the link is written."""
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    link.symlink_to(page)

    write_atomically(link, b"one")

    assert link.is_symlink()
    assert page.read_bytes() == b"one"


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """A folder with the file's name cannot be replaced, and keeps its content."""
    path = tmp_path / "page.html"
    (path / "within").mkdir(parents=True)

    with pytest.raises(OSError, match=r"page\.html"):
        write_atomically(path, b"one")

    assert [*tmp_path.iterdir()] == [path]
    assert [each.name for each in path.iterdir()] == ["within"]


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """The next write removes an unfinished file, but no file that may still be written."""
    page, old, new, other = (
        tmp_path / name
        for name in ("page.html", f".cfpb-etl-{'0' * 32}", f".cfpb-etl-{'1' * 32}", ".cfpb-etl-x")
    )
    for path in (old, new, other):
        path.touch()
    os.utime(old, (0, 0))

    write_atomically(page, b"one")

    assert {*tmp_path.iterdir()} == {page, new, other}
