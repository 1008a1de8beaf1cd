"""A file that cannot be written takes no load, and a file that can be read is read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.store.lock import lock_for_loading
from support import PYTHONPATH
from support.loads import INSERT, create_database, execute, load, loading_elsewhere, query
from support.parts import complaint, part

if TYPE_CHECKING:
    from collections.abc import Iterator

AS_NOBODY = """
import os, sqlite3, sys
from pathlib import Path
from cfpb_etl.store.errors import DatabaseError
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.sqlite_file import open_for_reading
from support.loads import FakeSource

if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    if sys.argv[2] == "load":
        with open_load(Path(sys.argv[1]), FakeSource()):
            print("loaded")
    else:
        with open_for_reading(Path(sys.argv[1])) as connection:
            print("read", *connection.execute("SELECT COUNT(*) FROM complaint").fetchone())
except DatabaseError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """Return a folder that any user can use; pytest's own are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="cfpb-etl-"))
    if os.getuid() == 0:
        os.chown(folder, 65534, 65534)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


def load_as_nobody(database: Path, what: str = "load") -> str:
    """Load or read as a user for whom permissions count, and return the output."""
    outside = {name: value for name, value in os.environ.items() if "COV" not in name}
    child = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, database, what],
        env=outside | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return child.stdout


def test_permissions_allow_a_load(nobodys_folder: Path) -> None:
    """The user of these tests can load where nothing is forbidden."""
    assert load_as_nobody(nobodys_folder / "new.db") == "loaded\n"


@pytest.mark.parametrize("exists", [False, True])
def test_a_read_only_folder_takes_no_load(nobodys_folder: Path, exists: bool) -> None:  # noqa: FBT001
    """Whether or not it has the database."""
    database = nobodys_folder / "our.db"
    if exists:
        create_database(database)
        database.chmod(0o666)
    nobodys_folder.chmod(0o555)

    assert load_as_nobody(database).startswith(f"NotWritableError {database} cannot be written")


def test_a_read_only_file_takes_no_load(nobodys_folder: Path) -> None:
    """No lock stays beside it."""
    database = nobodys_folder / "our.db"
    create_database(database)
    database.chmod(0o444)

    said = load_as_nobody(database)

    assert said.startswith("NotWritableError")
    assert "readonly" in said
    assert "Check its permissions" in said
    assert not list(nobodys_folder.glob("*-loading*"))


def test_a_file_in_a_read_only_folder_is_read(nobodys_folder: Path) -> None:
    """Reading needs no permission to write."""
    database = nobodys_folder / "our.db"
    create_database(database)
    database.chmod(0o444)
    nobodys_folder.chmod(0o555)

    assert load_as_nobody(database, "read") == "read 0\n"


def test_a_link_to_a_file_during_a_load(nobodys_folder: Path) -> None:
    """The newest rows are read, also if the link's folder is read-only."""
    real, folder = nobodys_folder / "real.db", nobodys_folder / "links"
    folder.mkdir()
    (folder / "link.db").symlink_to(real)
    create_database(real)
    with closing(sqlite3.connect(real)) as connection:
        connection.execute(INSERT)
        connection.commit()
        for each in nobodys_folder.glob("real.db*"):
            each.chmod(0o666)
        folder.chmod(0o555)

        said = load_as_nobody(folder / "link.db", "read")
    folder.chmod(0o700)

    assert said == "read 1\n"


PLAIN = """
import os, sqlite3, sys
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for end in ("", "?mode=ro", "?immutable=1"):
    try:
        rows = sqlite3.connect(f"file:{sys.argv[1]}{end}", uri=True).execute(
            "SELECT complaint_id FROM complaint"
        )
        print(rows.fetchall())
    except sqlite3.Error as error:
        print(error)
"""


def read_plainly(database: Path) -> list[str]:
    """Read with SQLite alone, opened normally, as read-only and as immutable."""
    child = subprocess.run(
        [sys.executable, "-c", PLAIN, database],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return child.stdout.splitlines()


def test_other_programs_in_a_read_only_folder(nobodys_folder: Path) -> None:
    """SQLite alone cannot open a file in WAL mode there, except as immutable.

    Without WAL mode it can, and later loads keep it so. docs/reading.md describes both ways.
    """
    database = nobodys_folder / "our.db"
    load(database, part(complaint(1)))
    nobodys_folder.chmod(0o555)
    assert read_plainly(database) == ["attempt to write a readonly database"] * 2 + ["[(1,)]"]
    assert load_as_nobody(database, "read") == "read 1\n"

    nobodys_folder.chmod(0o755)
    execute(database, "PRAGMA journal_mode = DELETE")
    load(database, part(complaint(2)))
    nobodys_folder.chmod(0o555)
    assert read_plainly(database) == ["[(1,), (2,)]"] * 3
    assert load_as_nobody(database, "read") == "read 2\n"


def test_a_log_in_a_read_only_folder(nobodys_folder: Path) -> None:
    """An immutable file is read without its log, so what a killed load has stored is missing.

    With the log's index, the log is read too. Without the index, an error says what to do.
    """
    database = nobodys_folder / "our.db"
    load(database, part(complaint(2)))
    with loading_elsewhere(database) as child:
        child.kill()
        child.wait(60)
    nobodys_folder.chmod(0o555)
    assert read_plainly(database) == ["[(1,), (2,)]"] * 2 + ["[(2,)]"]
    assert load_as_nobody(database, "read") == "read 2\n"

    nobodys_folder.chmod(0o755)
    database.with_name("our.db-shm").unlink()
    nobodys_folder.chmod(0o555)
    said = load_as_nobody(database, "read")
    assert said.startswith(f"NotReadableError {database} cannot be read (unable to open database")
    assert "you cannot write to its folder" in said
    assert "copy the file, with its -wal file if there is one, to a folder of your own" in said


DIE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM complaint")
connection.executemany(
    "INSERT INTO complaint (issue, load_id, first_load_id, changed_load_id) VALUES (?, 1, 1, 1)",
    [("x" * 9000,)] * 50,
)
os._exit(0)
"""


def test_a_journal_in_a_read_only_folder(nobodys_folder: Path) -> None:
    """A file that a dead program has half changed is not read. In a writable folder, it heals."""
    database = nobodys_folder / "our.db"
    load(database, part(complaint(2)))
    execute(database, "PRAGMA journal_mode = DELETE")
    subprocess.run([sys.executable, "-c", DIE, database], check=True, timeout=60)
    assert database.with_name("our.db-journal").stat().st_size > 0
    nobodys_folder.chmod(0o555)

    assert load_as_nobody(database, "read").startswith(f"NotReadableError {database} cannot be")
    nobodys_folder.chmod(0o755)
    assert query(database, "SELECT complaint_id FROM complaint") == [(2,)]


@pytest.mark.parametrize("makes", ["folder", "lock"])
def test_another_users_lock_file(nobodys_folder: Path, makes: str) -> None:
    """What another user has left cannot be used. The error names it."""
    if os.getuid() != 0:
        pytest.skip("only root can create a file of another user")
    database = nobodys_folder / "our.db"
    lock = nobodys_folder / "our.db-loading"
    with closing(lock_for_loading(database)):
        content = lock.read_bytes()
    if makes == "folder":
        lock.mkdir()
    else:
        lock.write_bytes(content)

    said = load_as_nobody(database)

    why = "is not a file" if makes == "folder" else "belongs to another user"
    assert said.startswith(f"LockFileError {lock} {why}, but cfpb-etl needs this name")
    assert not database.exists()


def test_another_users_load_is_running(nobodys_folder: Path) -> None:
    """The error names the running load, although the lock file cannot be written."""
    database = nobodys_folder / "our.db"
    create_database(database)
    with closing(lock_for_loading(database)):
        assert load_as_nobody(database).startswith(f"LoadRunningError {database} is being loaded")
    assert load_as_nobody(database, "read") == "read 0\n"
