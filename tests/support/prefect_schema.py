"""The SQL of an empty database of Prefect, made by Prefect's own migrations.

If the lowest Prefect that this package allows changes, install it, write the name of its newest
migration into `REVISION`, and run `python tests/support/prefect_schema.py`.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

REVISION = "14806cb26270"  # the newest migration of Prefect 3.8.0
FILE = Path(__file__).parents[2] / "src/cfpb_etl/orchestration/prefect_server/prefect_database.sql"
_HEADER = f"""\
-- An empty database of Prefect 3.8 (Apache License 2.0) after its migration {REVISION}.
-- tests/support/prefect_schema.py writes this file.
"""
_MIGRATE = """
import asyncio, sys
from prefect.server.database.alembic_commands import alembic_upgrade
from prefect.utilities.asyncutils import run_sync_in_worker_thread
asyncio.run(run_sync_in_worker_thread(alembic_upgrade, sys.argv[1]))
"""


def migrated(revision: str) -> str:
    """Return the statements of a database after a migration of the installed Prefect."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-c", _MIGRATE, revision],
            cwd=folder,
            env=os.environ | {"PREFECT_HOME": folder},
            check=True,
        )
        with closing(sqlite3.connect(Path(folder, "prefect.db"))) as connection:
            return statements(connection)


def statements(connection: sqlite3.Connection) -> str:
    """Return the statements that create a database with its rows, the indexes in their order."""
    dumped = [each.strip() for each in connection.iterdump()][1:-1]  # without BEGIN and COMMIT
    dumped.sort(key=lambda each: each if each.startswith("CREATE INDEX") else "")
    lines = [line.rstrip() for line in "\n".join(dumped).splitlines()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(_HEADER + migrated(REVISION), "utf-8")
