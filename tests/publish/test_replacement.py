"""New files and folders take the place of old ones, or leave no trace."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.publish.errors import ExportRunningError, TargetNotWrittenError
from cfpb_etl.publish.replacement import replaced
from cfpb_etl.store.errors import LockFileError
from support import PYTHONPATH

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("file", "folder")
WRITING = """
import os, sys
from pathlib import Path
from cfpb_etl.publish.replacement import replaced
def rename(number):
    name = Path.rename
    def renamed(*arguments):
        nonlocal number
        number -= 1
        if number < 0:
            os.kill(os.getpid(), 9)
        return name(*arguments)
    Path.rename = renamed
with replaced(Path(sys.argv[1]), lambda _: None) as new:
    if sys.argv[2] == "folder":
        new.mkdir()
        (new / "a").write_text("new")
    else:
        new.write_text("new")
"""


def allow(_existing: Path) -> None:
    """Refuse nothing."""


def write(path: Path, kind: str, text: str) -> None:
    """Write a file, or a folder with a file."""
    if kind == "folder":
        path.mkdir()
        path /= "a"
    path.write_text(text)


def read(path: Path) -> str:
    """Return the text of a file, or that of the file in a folder."""
    return (path / "a" if path.is_dir() else path).read_text()


def names(folder: Path) -> list[str]:
    """Return what a folder contains."""
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_one_takes_the_place(tmp_path: Path, kind: str) -> None:
    """The old one is there until the new one is complete, and nothing else is left."""
    target = tmp_path / "target"
    for text in ("first", "second"):
        with replaced(target, allow) as new:
            write(new, kind, text)
            assert not target.exists() or read(target) == "first"
        assert read(target) == text
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_one(
    tmp_path: Path, kind: str, error: type[BaseException]
) -> None:
    """If the block fails, what it has written is removed."""
    target = tmp_path / "target"
    write(target, kind, "old")

    def fail() -> None:
        with replaced(target, allow) as new:
            write(new, kind, "new")
            (new.parent / "temporary").touch()
            raise error

    with pytest.raises(error):
        fail()

    assert read(target) == "old"
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kill_leaves_is_removed(tmp_path: Path, kind: str) -> None:
    """The next export of the same target removes it, and nothing of other targets."""
    target = tmp_path / "target"
    kill = WRITING + "    os.kill(os.getpid(), 9)"
    for name in ("target", "other"):
        done = subprocess.run(
            [sys.executable, "-c", kill, tmp_path / name, kind],
            env=os.environ | {"PYTHONPATH": PYTHONPATH},
            check=False,
        )
        assert done.returncode == -9
    left = names(tmp_path)
    assert ".target.cfpb-etl-new" in left

    with replaced(target, allow) as new:
        write(new, kind, "new")

    assert names(tmp_path) == [*(name for name in left if name.startswith(".other")), "target"]


@pytest.mark.parametrize(("renames", "left"), [(0, "old"), (1, "missing"), (2, "new")])
def test_a_kill_at_each_rename_of_a_folder(tmp_path: Path, renames: int, left: str) -> None:
    """The next export puts the old folder back if the new one has not taken its place."""
    target = tmp_path / "target"
    write(target, "folder", "old")
    subprocess.run(
        [sys.executable, "-c", f"{WRITING}    rename({renames})", target, "folder"],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        check=False,
    )
    assert (read(target) if target.exists() else "missing") == left

    with pytest.raises(ZeroDivisionError), replaced(target, allow):
        raise ZeroDivisionError

    assert read(target) == ("new" if left == "new" else "old")
    assert names(tmp_path) == ["target"]


def test_an_empty_folder_does_not_hide_the_old_one(tmp_path: Path) -> None:
    """A user may make the missing folder again before the next export puts the old one back."""
    target = tmp_path / "target"
    write(tmp_path / ".target.cfpb-etl-old", "folder", "old")
    target.mkdir()

    with pytest.raises(ZeroDivisionError), replaced(target, allow):
        raise ZeroDivisionError

    assert read(target) == "old"


def test_a_rename_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new folder cannot take its place, the old one is put back."""
    target = tmp_path / "target"
    write(target, "folder", "old")
    rename = Path.rename

    def fail_for_new(path: Path, to: Path) -> Path:
        if path.parent.name == ".target.cfpb-etl-new":
            raise PermissionError(13, "Permission denied")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with (
        pytest.raises(TargetNotWrittenError, match="Permission denied"),
        replaced(target, allow) as new,
    ):
        write(new, "folder", "new")

    assert read(target) == "old"
    assert names(tmp_path) == ["target"]


@contextmanager
def writing_elsewhere(target: Path) -> Iterator[None]:
    """Keep another process writing a target."""
    code = WRITING + '    print("writing", flush=True)\n    sys.stdin.read()'
    with subprocess.Popen(
        [sys.executable, "-c", code, target, "file"],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == "writing\n"
        yield


def test_two_exports_at_once(tmp_path: Path) -> None:
    """The second is refused while the first is running, and does not disturb it."""
    target = tmp_path / "target"
    with writing_elsewhere(target):
        before = names(tmp_path)
        with (
            pytest.raises(ExportRunningError, match="is being written by another export"),
            replaced(target, allow),
        ):
            pytest.fail("both write")
        assert names(tmp_path) == before

    assert read(target) == "new"
    assert names(tmp_path) == ["target"]


def test_the_target_is_checked_again_at_the_end(tmp_path: Path) -> None:
    """A file that somebody writes at the place meanwhile is not replaced."""
    target = tmp_path / "target"

    def refuse_existing(existing: Path) -> None:
        if existing.exists():
            raise ZeroDivisionError

    def write_both() -> None:
        with replaced(target, refuse_existing) as new:
            new.write_text("new")
            target.write_text("of somebody")

    with pytest.raises(ZeroDivisionError):
        write_both()

    assert read(target) == "of somebody"
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_symbolic_link(tmp_path: Path, kind: str) -> None:
    """What the link leads to is replaced, and the link stays."""
    place, link = tmp_path / "place", tmp_path / "link"
    write(place, kind, "old")
    link.symlink_to(place)

    with replaced(link, allow) as new:
        write(new, kind, "new")

    assert read(place) == "new"
    assert link.readlink() == place
    assert names(tmp_path) == ["link", "place"]


@pytest.mark.parametrize("kind", KINDS)
def test_permissions_stay(tmp_path: Path, kind: str) -> None:
    """A new export is not more public than the old one."""
    target = tmp_path / "target"
    write(target, kind, "old")
    target.chmod(0o700)

    with replaced(target, allow) as new:
        write(new, kind, "new")

    assert target.stat().st_mode & 0o777 == 0o700


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    long = tmp_path / ("x" * 300)
    for target, reason in (
        (loop, "loop"),
        (long, "File name too long"),
        (Path("/"), "a disk of its own"),
    ):
        with pytest.raises(TargetNotWrittenError, match=reason), replaced(target, allow):
            pytest.fail("it can be written")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with (
        pytest.raises(TargetNotWrittenError, match="you cannot write to its folder"),
        replaced(tmp_path / "target", allow),
    ):
        pytest.fail("it can be written")


def test_a_foreign_lock_file(tmp_path: Path) -> None:
    """A file with the name of the lock file is named, and stays."""
    lock = tmp_path / ".target.cfpb-etl-lock"
    lock.write_text("of somebody")

    with pytest.raises(LockFileError, match=lock.name), replaced(tmp_path / "target", allow):
        pytest.fail("it is locked")

    assert lock.read_text() == "of somebody"


def test_no_room(tmp_path: Path) -> None:
    """An error of the disk is named, and the old file stays."""
    target = tmp_path / "target"
    target.write_text("old")
    with (
        pytest.raises(TargetNotWrittenError, match="No space left on device"),
        replaced(target, allow),
        Path("/dev/full").open("w") as full,
    ):
        full.write("new")

    assert read(target) == "old"
    assert names(tmp_path) == ["target"]
