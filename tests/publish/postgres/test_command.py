"""The command `export` with a PostgreSQL address, as users run it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.http import addresses
from cfpb_etl.model.events import Progress, listening
from cfpb_etl.publish.export import export_complaints
from cfpb_etl.publish.postgres import copy
from support.loads import load_file
from support.parts import JANUARY, JUNE, complaint, complaints
from support.postgres_rows import assert_same_rows
from support.program import PROGRAM, run_program

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import PostgresDatabase

WITHOUT_PSYCOPG = """
import sys
sys.modules["psycopg"] = None
from cfpb_etl.publish.export import export_complaints
export_complaints("postgresql://host/database", database=sys.argv[1])
"""


def test_psycopg_is_missing(path: Path) -> None:
    """Without psycopg, the message names the extra that contains it."""
    load_file(path, complaint(1))

    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_PSYCOPG, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    last = ended.stderr.splitlines()[-1]
    assert "psycopg is not installed. Install the extra that contains it" in last
    assert last.endswith('pip install "cfpb-etl[postgres]"')


@pytest.mark.slow
def test_the_summary(path: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines say where the rows are, how many there are, and how many were copied."""
    monkeypatch.setenv("TARGET", target.url())
    load_file(path, *complaints(*range(1, 1_001)), as_of=JANUARY)
    arguments = ["export", "env:TARGET", "--database", str(path)]

    first = run_program(*arguments)

    assert (first.returncode, first.stderr.strip()) == (0, "")
    assert first.stdout.splitlines() == [
        f"exported to {target.shown}",
        "complaint                1,000 rows",
        "complaint_change             0 rows",
        "load                         1 rows",
    ]

    load_file(path, *complaints(*range(1, 1_002)), as_of=JUNE)
    second = run_program(*arguments, "--table", "complaint", "--narratives")
    assert second.stdout.splitlines() == [
        f"exported to {target.shown}",
        "complaint         1,001 rows, of which 1 were copied now",
        "load                  2 rows, of which 1 were copied now",
        "note: All rows were compared, because the last export had other tables, filters or"
        " narratives.",
        "note: The table complaint_change was dropped, because it was not selected.",
        "note: The table load was exported too, because the next export needs it.",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("is_named", [True, False])
def test_a_wrong_password_is_never_shown(
    path: Path,
    target: PostgresDatabase,
    monkeypatch: pytest.MonkeyPatch,
    is_named: bool,  # noqa: FBT001
) -> None:
    """Neither the output of a failed export nor its traceback has the password."""
    load_file(path, complaint(1))
    url = target.url(password="sesame/street@123")  # noqa: S106 - a wrong one
    monkeypatch.setenv("TARGET", url)

    ended = run_program("export", "env:TARGET" if is_named else url, "--database", str(path))

    assert ended.returncode == 1
    assert ended.stderr.strip().startswith(
        "failed: No connection to the PostgreSQL database: connection"
    )
    assert 'password authentication failed for user "admin"' in ended.stderr
    code = (
        f"from cfpb_etl.publish.export import export_complaints as e; e({url!r}, database='{path}')"
    )
    traceback = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "Traceback" in traceback.stderr
    for output in (ended.stdout + ended.stderr, traceback.stdout + traceback.stderr):
        for piece in ("sesame", "street"):
            assert piece not in output


@pytest.mark.slow
def test_a_secret_block(
    path: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run of a flow, the address can be in a Secret block."""
    load_file(path, complaint(1))
    monkeypatch.setitem(addresses._readers, "secret", {"warehouse": target.url()}.__getitem__)

    stats = export_complaints("secret:warehouse", database=path)

    assert stats.target == target.shown
    assert_same_rows(path, target)


@pytest.mark.slow
def test_unix_sockets_and_other_ways_to_give_the_password(
    path: Path, target: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libpq reads from variables, password files and service files works."""
    load_file(path, complaint(1))
    login, _, place = target.url().removeprefix("postgresql://").rpartition("@")
    user = login.partition(":")[0]
    socket = f"postgresql:///{target.name}?host={target.folder}&port={target.port}&user={user}"
    passwords = tmp_path / "passwords"
    password = "pass-word/@?#%25"  # noqa: S105 - of a private server
    passwords.write_text(f"*:*:*:*:{password}\n", "utf-8")
    passwords.chmod(0o600)
    services = tmp_path / "services"
    services.write_text(
        f"[warehouse]\nhost={target.folder}\nport={target.port}\nuser={user}\n"
        f"dbname={target.name}\npassword={password}\n",
        "utf-8",
    )
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", password)
        shown = export_complaints(socket, database=path).target
        assert (
            shown
            == f"postgresql://{str(target.folder).replace('/', '%2F')}:{target.port}/{target.name}"
        )
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSFILE", str(passwords))
        assert export_complaints(f"postgresql://{user}@{place}", database=path).notes == ()
    with monkeypatch.context() as patch:
        patch.setenv("PGSERVICEFILE", str(services))
        assert export_complaints("postgresql:///?service=warehouse", database=path).notes == ()
    # The first host that answers and can write is used.
    hosts = f"127.0.0.1:1,{place.partition('/')[0]}"
    many = f"postgresql://{login}@{hosts}/{target.name}?target_session_attrs=read-write"
    assert export_complaints(many, database=path).target == target.shown


@pytest.mark.slow
def test_progress(path: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """While rows are copied, events say how many there are so far."""
    monkeypatch.setattr(copy, "_PROGRESS", 1_000)
    load_file(path, *complaints(*range(3_500)))
    events: list[Progress] = []

    with listening(events.append):  # type: ignore[arg-type]
        export_complaints(target.url(), database=path)

    shown = [(each.step, each.so_far, each.share) for each in events if each.done]
    assert shown[:2] == [
        ("Exporting complaint", "1,000 of 3,500", 1_000 / 3_500),
        ("Exporting complaint", "2,000 of 3,500", 2_000 / 3_500),
    ]
    assert "Indexing complaint" in [each.step for each in events]


def test_the_help_names_it() -> None:
    """The help of the command has the form of the address."""
    ended = subprocess.run(
        [*PROGRAM, "export", "--help"], capture_output=True, text=True, check=True
    )

    assert "postgresql://USER@HOST/DATABASE" in " ".join(ended.stdout.split())
