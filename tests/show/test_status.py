"""The status of a database as text and as JSON, with CFPB's current count."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.cli.main import main
from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.show.status import get_status
from cfpb_etl.store.errors import EmptyDatabaseError, NotADatabaseError, OtherSchemaError
from cfpb_etl.store.lock import lock_for_loading
from cfpb_etl.store.sqlite_file import SCHEMA_VERSION, connect, transaction
from support.loads import interrupt, load, load_file, query
from support.made_up import made_up
from support.parts import JANUARY, JUNE, MARCH, complaint, complaints, part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPLAINTS = made_up(500, era="deployed")
NO_SERVER = "http://127.0.0.1:9/"  # the discard port, where nothing listens


@pytest.fixture(scope="module")
def api_url() -> Iterator[str]:
    """Serve 500 complaints as CFPB does."""
    with serve(Emulator(COMPLAINTS)) as url:
        yield url


def status_lines(path: Path, url: str = NO_SERVER) -> dict[str, str]:
    """Return the lines of the status by their labels."""
    lines = str(get_status(path, url)).splitlines()
    return {line[:11].strip(): line[12:] for line in lines}


def test_the_contents_of_a_database(path: Path) -> None:
    """Complaints, their days, narratives, withdrawn ones and recent changes are counted."""
    narrative = complaint(1, date_received="2026-01-02", complaint_what_happened="Why")
    others = complaints(*range(2, 200), date_received="2026-01-03")
    load_file(path, narrative, *others, as_of=JANUARY)
    load_file(path, narrative._replace(state="CA"), *others[:-1], as_of=MARCH)

    status = get_status(path, NO_SERVER)

    assert (status.complaints, status.narratives, status.withdrawn) == (199, 1, 1)
    assert (status.oldest, status.newest) == ("2026-01-02", "2026-01-03")
    assert status.recently_changed == 1
    assert status.bytes == path.stat().st_size
    assert (status.as_of, status.is_everything_loaded, status.is_sample) == (MARCH, True, False)
    lines = status_lines(path)
    assert lines["database"].startswith(f"{path}, ")
    assert lines["requests"] == "CFPB's daily file"
    assert lines["complaints"] == "199, received 2026-01-02 to 2026-01-03"
    assert lines["changed"] == "1 in the last 7 days"


def test_the_newest_load_of_each_source(path: Path) -> None:
    """The status has the newest load and the newest complete load of each source."""
    load(path, part(complaint(1), as_of=JANUARY))
    load_file(path, *complaints(1, 2), as_of=MARCH)
    load_file(path, *complaints(1, 2, 3), as_of=JUNE)
    interrupt(path, part(complaint(4)), query="{}")

    status = get_status(path, NO_SERVER)

    assert [(each.load_id, each.source, each.outcome) for each in status.loads] == [
        (4, "api", "interrupted"),
        (3, "bulk", "complete"),
        (1, "api", "complete"),
    ]
    lines = status_lines(path)
    assert lines["load 3"].startswith("bulk, complete 20")
    assert lines["load 3"].endswith(f" UTC, data of {JUNE}: 1 new, 0 changed, 2 unchanged")
    assert lines["load 4"].endswith("1 new, 0 changed, 0 unchanged; KeyboardInterrupt")


def test_a_running_load(path: Path) -> None:
    """A load that has not ended is shown with its start."""
    load(path, part(complaint(1)))
    with closing(connect(path)) as connection:
        connection.execute("UPDATE load SET outcome = 'running', ended_at = NULL")

    with closing(lock_for_loading(path)):
        assert status_lines(path)["load 1"].startswith("api, running since 20")

    # A load that was killed could not record its end.
    text = status_lines(path)["load 1"]
    assert text.startswith("api, interrupted (started 20")
    assert text.endswith("; the process died")


def test_the_requests(path: Path) -> None:
    """Each query is listed once, in words, the newest first; updates are not listed."""
    load(path, part(complaint(1)), query='{"limit": 1000}', limit=1000)
    load(path, part(complaint(1)), query='{"limit": 1000}', limit=1000)
    load(path, part(complaint(2)), query='{"since": "2026-01-01", "state": ["CA", "NY"]}')
    load(path, part(), query='{"search": "nothing came"}')
    assert get_status(path, NO_SERVER).requests == (
        "since 2026-01-01, state CA or NY",
        "the newest 1,000",
    )
    assert not get_status(path, NO_SERVER).is_everything_loaded

    for state in ("AK", "AL"):
        load(path, part(complaint(3)), query=f'{{"state": ["{state}"]}}')
    load_file(path, complaint(4, complaint_what_happened="Why"), kind="archive")
    assert status_lines(path)["requests"] == (
        "CFPB's archive of narratives; state AL; state AK; and 2 more"
    )


def test_control_characters(path: Path, api_url: str) -> None:
    """Control characters from a server or in a name are spelled out."""
    load(path, part(complaint(1)), query='{"company": ["\\u001b[31mA"]}')
    with closing(connect(path)) as connection:
        connection.execute("UPDATE load SET outcome = 'failed', failure = '\x1b]0;x\x07é'")

    lines = status_lines(path, api_url)

    assert lines["requests"] == r"company \x1b[31mA"
    assert lines["load 1"].endswith(r"\x1b]0;x\x07é")


def test_old_changes_are_not_recent(path: Path) -> None:
    """Only loads of the last seven days count."""
    load(path, part(complaint(1, state="CA")))
    load(path, part(complaint(1, state="NY")))
    with closing(connect(path)) as connection:
        connection.execute("UPDATE load SET ended_at = '2026-01-01T00:00:00+00:00'")

    assert get_status(path, NO_SERVER).recently_changed == 0


# --- CFPB's current count -------------------------------------------------------------------


def test_cfpb_is_unreachable(path: Path) -> None:
    """The status says that CFPB could not be reached, and has everything else."""
    load_file(path, complaint(1))

    status = get_status(path, NO_SERVER)

    assert status.complaints == 1
    assert status.drift is not None
    assert status.drift.current is None
    assert status_lines(path)["at CFPB"].startswith("unknown: The search API could not be reached")


def test_the_server_of_the_load_is_asked(path: Path, api_url: str) -> None:
    """By default, the count is from the server that the load asked."""
    load(path, part(complaint(1), matching=500), query="{}", address=api_url)

    drift = get_status(path).drift

    assert drift is not None
    assert drift.current == 500


def test_the_sample_is_not_counted_at_cfpb(path: Path, api_url: str) -> None:
    """CFPB is not asked for a count of made-up complaints."""
    load(path, part(complaint(1)), kind="sample")

    assert get_status(path).is_sample
    assert get_status(path, api_url).drift is None
    assert status_lines(path)["requests"] == "state CA (made up)"
    assert "at CFPB" not in status_lines(path, api_url)


# --- the command ----------------------------------------------------------------------------


def test_json_has_every_field(
    path: Path, api_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The JSON has all fields by their names."""
    load_file(path, *complaints(1, 2, date_received="2026-01-02"))
    monkeypatch.setenv("CFPB_ETL_API_URL", api_url)

    with pytest.raises(SystemExit, match="0"):
        main(["status", "--database", str(path), "--json"])

    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(asdict(get_status(path, api_url))))
    assert printed["drift"]["current"] == 500
    assert printed["loads"][0]["new"] == 2


def test_text_by_default(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the status as text."""
    load_file(path, *complaints(1, 2))

    with pytest.raises(SystemExit, match="0"):
        main(["status", "--database", str(path), "--api-url", NO_SERVER])

    assert capsys.readouterr().out == f"{get_status(path, NO_SERVER)}\n"


def test_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is a wrong command, and is not created."""
    with pytest.raises(SystemExit, match="2"):
        main(["status", "--database", str(tmp_path / "none.db")])

    assert "does not exist; load complaints into it first" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("address", ["nonsense", "ftp://example.org/", "http://[::1/"])
def test_an_invalid_address(path: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    """A URL that is not an HTTP address is a wrong command."""
    load_file(path, *complaints(1))

    with pytest.raises(SystemExit, match="2"):
        main(["status", "--database", str(path), "--api-url", address])

    assert "--api-url must be an http:// or https:// address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("CREATE TABLE photo (a)", NotADatabaseError),
        (f"PRAGMA user_version = {SCHEMA_VERSION + 1}", OtherSchemaError),
        (f"PRAGMA user_version = {SCHEMA_VERSION - 1}", OtherSchemaError),
    ],
)
def test_other_files_are_refused(path: Path, statement: str, error: type[Exception]) -> None:
    """Another program's file, and one of another schema, are refused and stay as they are."""
    if error is OtherSchemaError:
        load(path, part(complaint(1)))
    query(path, statement)
    before = path.read_bytes()

    with pytest.raises(error):
        get_status(path, NO_SERVER)

    assert path.read_bytes() == before


def test_an_empty_file(path: Path) -> None:
    """An empty file does not become a database when it is only read."""
    path.touch()

    with pytest.raises(EmptyDatabaseError):
        get_status(path, NO_SERVER)

    assert path.read_bytes() == b""


def test_reading_while_a_load_writes(path: Path) -> None:
    """The status is that before the load's transaction."""
    load_file(path, *complaints(1, 2))
    with closing(connect(path)) as connection, transaction(connection):
        connection.execute("DELETE FROM complaint")

        assert get_status(path, NO_SERVER).complaints == 2
