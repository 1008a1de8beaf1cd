"""What a database holds, told to a person and to a program, and CFPB's own count beside it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.cli.main import main
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.show.status import get_status
from cfpb_etl.store import sqlite_file as schema
from cfpb_etl.store.errors import NewerDatabaseError, NotADatabaseError
from cfpb_etl.store.lock import lock_for_loading
from cfpb_etl.store.tables import MIGRATIONS
from support.loads import (
    JANUARY,
    JUNE,
    MARCH,
    break_off,
    complaint,
    complaints,
    load,
    load_file,
    part,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPLAINTS = generate_complaints(500, era="deployed")
NOBODY = "http://127.0.0.1:9/"  # the port "discard", where nothing listens


@pytest.fixture(scope="module")
def api_url() -> Iterator[str]:
    """Serve 500 complaints as CFPB would."""
    with serve(Emulator(COMPLAINTS)) as url:
        yield url


def told(path: Path, url: str = NOBODY) -> dict[str, str]:
    """Return what a person reads, by the words at the left; the loads as one."""
    lines: dict[str, str] = {}
    for line in str(get_status(path, url)).splitlines():
        label, words = line[:11].strip(), line[12:]
        lines[label] = words
    return lines


def test_what_a_database_holds(path: Path) -> None:
    """Complaints, their days, narratives, what is withdrawn and what was updated lately."""
    wrote = complaint(1, date_received="2026-01-02", complaint_what_happened="Why")
    others = complaints(*range(2, 200), date_received="2026-01-03")
    load_file(path, wrote, *others, as_of=JANUARY)
    load_file(path, wrote._replace(state="CA"), *others[:-1], as_of=MARCH)

    status = get_status(path, NOBODY)

    assert (status.complaints, status.narratives, status.withdrawn) == (199, 1, 1)
    assert (status.oldest, status.newest) == ("2026-01-02", "2026-01-03")
    assert status.updated_lately == 1
    assert status.bytes == path.stat().st_size
    assert (status.as_of, status.is_everything, status.is_made_up) == (MARCH, True, False)
    lines = told(path)
    assert lines["database"].startswith(f"{path}, ")
    assert lines["asked for"] == "CFPB's daily file"
    assert lines["complaints"] == "199, received 2026-01-02 to 2026-01-03"
    assert lines["updated"] == "1 in the last 7 days"


def test_the_newest_load_of_each_source(path: Path) -> None:
    """Each source is told by its newest load and its newest good one, with what became of them."""
    load(path, part(complaint(1), as_of=JANUARY))
    load_file(path, *complaints(1, 2), as_of=MARCH)
    load_file(path, *complaints(1, 2, 3), as_of=JUNE)
    break_off(path, part(complaint(4)), query="{}")

    status = get_status(path, NOBODY)

    assert [(each.load_id, each.source, each.outcome) for each in status.loads] == [
        (4, "api", "interrupted"),
        (3, "bulk", "complete"),
        (1, "api", "complete"),
    ]
    lines = told(path)
    assert lines["load 3"].startswith("bulk, complete 20")
    assert lines["load 3"].endswith(f" UTC, data of {JUNE}: 1 inserted, 0 updated, 2 unchanged")
    assert lines["load 4"].endswith("1 inserted, 0 updated, 0 unchanged; KeyboardInterrupt")


def test_a_load_under_way(path: Path) -> None:
    """One that has not ended is told with the moment at which it began."""
    load(path, part(complaint(1)))
    with closing(schema.connect(path)) as connection:
        connection.execute("UPDATE load SET outcome = 'running', ended_at = NULL")

    with closing(lock_for_loading(path)):
        assert told(path)["load 1"].startswith("api, running since 20")

    # A load that was killed could not write how it ended.
    words = told(path)["load 1"]
    assert words.startswith("api, interrupted after it began 20")
    assert words.endswith("; ended without a word")


def test_what_was_asked_for(path: Path) -> None:
    """Each query stands once, in words, the newest first, and what updated it not at all."""
    load(path, part(complaint(1)), query='{"limit": 1000}')
    load(path, part(complaint(1)), query='{"limit": 1000}')
    load(path, part(complaint(2)), query='{"since": "2026-01-01", "state": ["CA", "NY"]}')
    load(path, part(), query='{"search": "nothing came"}')
    assert get_status(path, NOBODY).asked == (
        "since 2026-01-01, state CA or NY",
        "the newest 1,000",
    )
    assert not get_status(path, NOBODY).is_everything

    for state in ("AK", "AL"):
        load(path, part(complaint(3)), query=f'{{"state": ["{state}"]}}')
    load_file(path, complaint(4, complaint_what_happened="Why"), kind="archive")
    assert told(path)["asked for"] == (
        "CFPB's archive of narratives; state AL; state AK; and 2 more"
    )


def test_what_would_steer_a_terminal(path: Path, api_url: str) -> None:
    """A server's word, or a name, is shown with its control characters spelled out."""
    load(path, part(complaint(1)), query='{"company": ["\\u001b[31mA"]}')
    with closing(schema.connect(path)) as connection:
        connection.execute("UPDATE load SET outcome = 'failed', failure = '\x1b]0;x\x07é'")

    lines = told(path, api_url)

    assert lines["asked for"] == r"company \x1b[31mA"
    assert lines["load 1"].endswith(r"\x1b]0;x\x07é")


def test_what_was_updated_long_ago_is_not_lately(path: Path) -> None:
    """Only loads of the last seven days count."""
    load(path, part(complaint(1, state="CA")))
    load(path, part(complaint(1, state="NY")))
    with closing(schema.connect(path)) as connection:
        connection.execute("UPDATE load SET ended_at = '2026-01-01T00:00:00+00:00'")

    assert get_status(path, NOBODY).updated_lately == 0


# --- CFPB's own count -----------------------------------------------------------------------


def test_cfpb_out_of_reach(path: Path) -> None:
    """That CFPB cannot be asked is told, and costs nothing else."""
    load_file(path, complaint(1))

    status = get_status(path, NOBODY)

    assert status.complaints == 1
    assert status.drift is not None
    assert status.drift.counted is None
    assert told(path)["at CFPB"].startswith("unknown; The search API could not be reached")


def test_the_load_s_own_server_is_asked(path: Path, api_url: str) -> None:
    """Where no other is given, the one that the load asked tells the count."""
    load(path, part(complaint(1), matching=500), query="{}", address=api_url)

    drift = get_status(path).drift

    assert drift is not None
    assert drift.counted == 500


def test_made_up_complaints_are_not_counted_at_cfpb(path: Path, api_url: str) -> None:
    """CFPB has no count of the sample's, and of an empty database there is nothing to hold."""
    load(path, part(complaint(1)), kind="sample")

    assert get_status(path).is_made_up
    assert get_status(path, api_url).drift is None
    assert told(path)["asked for"] == "state CA, made up"
    assert "at CFPB" not in told(path, api_url)


# --- the command ----------------------------------------------------------------------------


def test_json_has_all_of_it(
    path: Path, api_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program gets every field by its name."""
    load_file(path, *complaints(1, 2, date_received="2026-01-02"))
    monkeypatch.setenv("CFPB_ETL_API_URL", api_url)

    with pytest.raises(SystemExit, match="0"):
        main(["status", "--database", str(path), "--json"])

    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(asdict(get_status(path, api_url))))
    assert printed["drift"]["counted"] == 500
    assert printed["loads"][0]["inserted"] == 2


def test_a_person_gets_lines(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints what the status says of itself."""
    load_file(path, *complaints(1, 2))

    with pytest.raises(SystemExit, match="0"):
        main(["status", "--database", str(path), "--api-url", NOBODY])

    assert capsys.readouterr().out == f"{get_status(path, NOBODY)}\n"


def test_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there is a wrong command, and is not made."""
    with pytest.raises(SystemExit, match="2"):
        main(["status", "--database", str(tmp_path / "none.db")])

    assert "does not exist; load something into it first" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("address", ["nonsense", "ftp://example.org/", "http://[::1/"])
def test_no_address(path: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    """What cannot be the address of a search API is a wrong command."""
    load_file(path, *complaints(1))

    with pytest.raises(SystemExit, match="2"):
        main(["status", "--database", str(path), "--api-url", address])

    assert f"--api-url {address!r} is no address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statement", "error"),
    [("CREATE TABLE photo (a)", NotADatabaseError), ("", NewerDatabaseError)],
)
def test_a_file_that_is_not_ours_is_left_alone(
    path: Path, statement: str, error: type[Exception]
) -> None:
    """Another program's file, and one of a newer version, are refused by name, byte for byte."""
    if error is NewerDatabaseError:
        load(path, part(complaint(1)))
        statement = f"PRAGMA user_version = {len(MIGRATIONS) + 1}"
    query(path, statement)
    before = path.read_bytes()

    with pytest.raises(error):
        get_status(path, NOBODY)

    assert path.read_bytes() == before


def test_an_empty_file(path: Path) -> None:
    """A file of no bytes is not made a database by who only looks."""
    path.touch()

    with pytest.raises(NotADatabaseError, match="is empty"):
        get_status(path, NOBODY)

    assert path.read_bytes() == b""


def test_an_older_file_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the first schema is migrated before it is read."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", MIGRATIONS[:1])
        with closing(schema.connect(path, make=True)) as connection:
            schema.ensure_schema(connection, path)
            connection.execute("INSERT INTO complaint (complaint_id, load_id) VALUES (1, 1)")

    assert get_status(path, NOBODY).complaints == 1


def test_reading_waits_for_nobody(path: Path) -> None:
    """While a load writes, the state before it is told."""
    load_file(path, *complaints(1, 2))
    with closing(schema.connect(path)) as connection, schema.transaction(connection):
        connection.execute("DELETE FROM complaint")

        assert get_status(path, NOBODY).complaints == 2
