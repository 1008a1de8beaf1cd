"""PostgreSQL databases for tests, in a server of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest

from cfpb_etl.child_process import start_child
from support import PYTHONPATH
from support.postgres_server import PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = count(1)


@dataclass(frozen=True)
class PostgresDatabase:
    """A database.

    Attributes:
        name: The name of the database.
        folder: The folder with the server's socket and its data.
        port: The server's port.
    """

    name: str
    folder: Path
    port: int

    def url(self, user: str = USER, password: str = PASSWORD, *, options: str = "") -> str:
        """Return the address of the database, over TCP."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{self.name}{options}"

    @property
    def shown(self) -> str:
        """Return the address as the program shows it."""
        return f"postgresql://127.0.0.1:{self.port}/{self.name}"

    def connect(self, **arguments: Any) -> psycopg.Connection:
        """Connect as another program does."""
        return psycopg.connect(self.url(), **{"autocommit": True, **arguments})

    def query(self, sql: str) -> list[Any]:
        """Query the database as another program does."""
        with closing(self.connect()) as connection:
            return connection.execute(sql).fetchall()

    def execute(self, *statements: str) -> None:
        """Change the database as another program does."""
        with closing(self.connect()) as connection:
            for statement in statements:
                connection.execute(statement)


@dataclass(frozen=True)
class PostgresServer:
    """A server.

    Attributes:
        folder: The folder with the server's socket and its data.
        port: The server's port.
    """

    folder: Path
    port: int

    @contextmanager
    def database(self, options: str = "") -> Iterator[PostgresDatabase]:
        """Create a database, and drop it at the end.

        By default its texts are sorted as in a dictionary, as on most servers and not as in SQLite.
        """
        database = PostgresDatabase(f"test_{next(_numbers)}", self.folder, self.port)
        server = PostgresDatabase("postgres", self.folder, self.port)
        options = options or "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        server.execute(f"CREATE DATABASE {database.name} TEMPLATE template0 {options}")
        try:
            yield database
        finally:
            server.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server. It ends with the block, or with this process if it is killed.

    If PostgreSQL is not installed, the test is skipped. If the variable CFPB_ETL_POSTGRES is set,
    as by `.ci/run`, it fails.
    """
    binaries = _binaries()
    if binaries is None:
        reason = "PostgreSQL is not installed (the Debian package is postgresql)"
        if os.environ.get("CFPB_ETL_POSTGRES"):
            pytest.fail(reason)
        pytest.skip(reason)
    process = start_child(
        "support.postgres_server",
        str(binaries),
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdout=subprocess.PIPE,
    )
    with process:  # at the end, its input is closed, and it stops the server
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        yield PostgresServer(Path(started["folder"]), started["port"])


def _binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL that is installed."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin")]  # Debian's, which are not in PATH
    newest = max(folders, key=lambda each: int(each.parent.name), default=None)
    found = shutil.which("initdb", path=newest) or shutil.which("initdb")
    return None if found is None else Path(found).parent
