"""The first export has every row and value, with the types, keys, indexes and comments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import load_complaints
from cfpb_etl.emulator import Emulator, read_recordings, serve
from cfpb_etl.model.query import Query
from cfpb_etl.publish.postgres.export import export_postgres
from cfpb_etl.publish.postgres.schema import own_tables, own_views
from cfpb_etl.read.errors import RowsNotReadError
from cfpb_etl.read.selection import Selection
from support.loads import execute, load, load_file, query
from support.made_up import made_up
from support.parts import ALL, JANUARY, JUNE, MARCH, complaint, complaints, part
from support.postgres_rows import assert_same_rows, notes_about_target, rows_of

if TYPE_CHECKING:
    from cfpb_etl.model.complaint import Complaint
    from support.postgres import PostgresDatabase

pytestmark = pytest.mark.slow

ODD_TEXTS = (
    *("", " ", "a\tb\nc\r\n", "\\N", "\\.", "\\", '"', "'", "''", "%s", "\x01\x7f\x1b[31m"),
    *("é", "e\u0301", "ß", "İ", "𝄞", "\ufffd", "\uffff", "\U0010ffff", "\u202e", "\u2028"),
    *("null", "NULL", "0", "x" * 300_000, "日本語" * 3_000),
)
ODD_DAYS = ("0001-01-01", "1999-12-31", "2000-01-01", "2000-02-29", "9999-12-31", None)


def some_complaints(count: int) -> list[Complaint]:
    """Return made-up complaints, a third of them with a narrative."""
    rows = made_up(count, era="2024")
    days = {"date_received", "date_sent_to_company"}
    return [
        complaint(
            int(row["complaint_id"]),
            **{
                name: (row[name] or "")[:10] if name in days else row[name] or None
                for name in ALL[1:]
                if row.get(name)
            },
        )
        for row in rows
    ]


def load_history(path: Path) -> None:
    """Load files of three days, with changed, withdrawn and new complaints, and narratives."""
    first = some_complaints(300)
    load_file(path, *first, as_of=JANUARY)
    second = [each._replace(timely="No", state=None) for each in first[:40]] + first[41:]
    load_file(path, *second, as_of=MARCH)
    load_file(path, *first, as_of=JUNE)


def test_rows_history_and_views_are_equal(path: Path, target: PostgresDatabase) -> None:
    """Every value of every table and view equals that of SQLite; the counts are those of SQLite."""
    load_history(path)

    stats = export_postgres(path, target.url(), Selection())

    counted = {
        table: query(path, f"SELECT COUNT(*) FROM {table}")[0][0]  # noqa: S608
        for table in ("complaint", "complaint_change", "load")
    }
    assert stats.tables == stats.written == counted
    assert counted["complaint_change"] > 80
    assert (stats.target, stats.notes) == (target.shown, ())
    assert_same_rows(path, target)


def test_odd_values(path: Path, target: PostgresDatabase) -> None:
    """Texts of any characters and any length, days of any year, and large numbers arrive."""
    texts = complaints(*range(1, len(ODD_TEXTS) + 1), date_received="2024-01-01")
    texts = [
        each._replace(company=text[:500], complaint_what_happened=text, zip_code=text)
        for each, text in zip(texts, ODD_TEXTS, strict=True)
    ]
    days = [complaint(100 + n, date_received=day) for n, day in enumerate(ODD_DAYS)]
    load_file(path, *texts, *days)
    for number, large in enumerate((2**63 - 1, -(2**63), 0)):
        change = f"UPDATE complaint SET complaint_id = {large} WHERE complaint_id = {100 + number}"  # noqa: S608
        execute(path, change)

    export_postgres(path, target.url(), Selection())

    assert_same_rows(path, target)


def test_nul_characters_are_replaced_and_counted(path: Path, target: PostgresDatabase) -> None:
    """Each text with U+0000 has U+FFFD instead, and a note says how many there are."""
    load_file(path, *complaints(1, 2, company="A\0B"), complaint(3, issue="\0\0"), complaint(4))

    stats = export_postgres(path, target.url(), Selection())

    assert stats.notes == (
        "Texts with the character U+0000, which PostgreSQL cannot store: 3. It was replaced by"
        " U+FFFD.",
    )
    assert_same_rows(path, target)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ("date_received = '2024-02-30'", 'column date_received: "2024-02-30"'),
        ("date_received = '0000-01-01'", 'column date_received: "0000-01-01"'),
        ("date_received = '20240101'", "the date_received '20240101' is not a day YYYY-MM-DD"),
        ("date_sent_to_company = 'today'", "the date_sent_to_company 'today' is not a day"),
        ("date_received = '٢٠٢٤-01-01'", "the date_received '٢٠٢٤-01-01' is not a day"),
        ("date_received = '2024-01-01' || CHAR(0)", "the date_received '2024-01-01"),
        ("withdrawn_on = ''", "the withdrawn_on '' is not a day YYYY-MM-DD"),
        ("load_id = 'one'", 'column load_id: "one"'),
        ("load_id = ''", 'column load_id: ""'),
        ("load_id = 1e300", 'column load_id: "1.0e+300"'),
        ("load_id = 1.5", 'column load_id: "1.5"'),
        ("load_id = 9e999", "column load_id"),
        ("state = X'4341'", "a value is not a text of valid UTF-8"),
        ("issue = CAST(X'EDA080' AS TEXT)", "a value is not a text of valid UTF-8"),
        ("complaint_what_happened = CAST(X'61FF' AS TEXT)", "a value is not a text of valid"),
    ],
)
def test_values_of_another_type(
    path: Path, target: PostgresDatabase, change: str, detail: str
) -> None:
    """A value that another program has stored with another type ends the export."""
    load_file(path, *complaints(1, 2))
    execute(path, f"UPDATE complaint SET {change} WHERE complaint_id = 2")  # noqa: S608

    with pytest.raises(RowsNotReadError) as failed:
        export_postgres(path, target.url(), Selection())

    assert detail in str(failed.value)
    assert target.query("SELECT nspname FROM pg_namespace WHERE nspname = 'cfpb'") == []


def test_an_empty_database(path: Path, target: PostgresDatabase) -> None:
    """A database without complaints is exported, and the next export adds the first ones."""
    load(path, part())
    export_postgres(path, target.url(), Selection())
    load(path, part(*complaints(1, 2)))

    stats = export_postgres(path, target.url(), Selection())

    assert (stats.written["complaint"], notes_about_target(path, stats, Selection())) == (2, ())
    assert_same_rows(path, target)


def test_types_keys_and_indexes(path: Path, target: PostgresDatabase) -> None:
    """Ids are numbers, days are dates, and the indexes are those of SQLite."""
    load(path, part(complaint(1)))
    export_postgres(path, target.url(), Selection())

    types = dict(
        target.query(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'cfpb' AND table_name = 'complaint'"
        )
    )
    assert types.pop("complaint_id") == types.pop("changed_load_id") == "bigint"
    assert types.pop("date_received") == types.pop("withdrawn_on") == "date"
    assert types["product"] == types["complaint_what_happened"] == "text"
    indexes = target.query("SELECT indexname FROM pg_indexes WHERE schemaname = 'cfpb'")
    own = query(
        path, "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name LIKE 'complaint%'"
    )
    keys = {("complaint_pkey",), ("load_pkey",), ("product_today_pkey",)}
    assert {*indexes} == {*own} | keys
    with pytest.raises(Exception, match="complaint_pkey"):
        target.execute("INSERT INTO cfpb.complaint (complaint_id) VALUES (1)")


def test_everything_has_a_comment(path: Path, target: PostgresDatabase) -> None:
    """The schema, each table, view and column has the comment of SQLite's schema."""
    load(path, part(complaint(1)))
    export_postgres(path, target.url(), Selection())

    described = dict(
        target.query(
            "SELECT relname || COALESCE('.' || attname, ''), description FROM pg_description"
            " JOIN pg_class ON pg_class.oid = objoid"
            " LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0"
            " WHERE relnamespace = 'cfpb'::regnamespace"
        )
    )
    everything = target.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'cfpb' UNION ALL"
        " SELECT table_name || '.' || column_name FROM information_schema.columns"
        " WHERE table_schema = 'cfpb'"
    )
    assert {name for (name,) in everything} == {*described}
    assert {*own_tables(), *own_views()} <= {*described}
    assert described["complaint"] == "one row per complaint, with CFPB's values"
    assert described["complaints_by_month.month"] == "month received, YYYY-MM"
    assert target.query("SELECT obj_description('cfpb'::regnamespace)") == [
        ("consumer complaints of CFPB, exported by cfpb-etl",)
    ]


def test_what_was_exported_is_remembered(path: Path, target: PostgresDatabase) -> None:
    """One row says what the schema has: source, day, licence, selection and version."""
    load_file(path, complaint(1), as_of=JUNE)
    for _ in range(2):
        export_postgres(path, target.url(), Selection(narratives=False))

    assert target.query(
        "SELECT database_file, sources, as_of::text, newest_load_id, is_sample, license,"
        " schema_number, selection::json ->> 'narratives', exported_at::timestamptz <= now()"
        " FROM cfpb.export"
    ) == [("complaints.db", "bulk", JUNE, 1, 0, "CC0", 8, "false", True)]


@pytest.mark.parametrize("narratives", [True, False])
def test_filters(path: Path, target: PostgresDatabase, narratives: bool) -> None:  # noqa: FBT001
    """Only complaints that match are exported, with their history; narratives can be left out."""
    load_history(path)
    state = query(path, "SELECT state FROM complaint GROUP BY 1 ORDER BY COUNT(*) DESC LIMIT 1")
    selection = Selection(Query(since="2024-01-01", state=state[0]), narratives=narratives)

    stats = export_postgres(path, target.url(), selection)

    assert 0 < stats.tables["complaint"] < 300
    assert_same_rows(path, target, selection)
    narrative = target.query("SELECT COUNT(*) > 0 FROM cfpb.narratives")
    assert narrative == [(narratives,)]


def test_some_tables(path: Path, target: PostgresDatabase) -> None:
    """The table `load` is always exported, with a note. Other tables are not created."""
    load_history(path)
    selection = Selection(tables=("complaint_change",))

    stats = export_postgres(path, target.url(), selection)

    assert list(stats.tables) == ["complaint_change", "load"]
    assert stats.notes == ("The table load was exported too, because the next export needs it.",)
    tables = target.query("SELECT tablename FROM pg_tables WHERE schemaname = 'cfpb' ORDER BY 1")
    assert tables == [("complaint_change",), ("export",), ("load",)]
    assert_same_rows(path, target, selection)
    assert len(rows_of(target, "load")) == 3


# --- recordings -----------------------------------------------------------------------------

RECORDED = Path(os.environ.get("CFPB_ETL_RECORDINGS", ""))


@pytest.mark.skipif(not RECORDED.name, reason="CFPB_ETL_RECORDINGS names no folder")
@pytest.mark.usefixtures("prefect_server")
def test_recordings(path: Path, target: PostgresDatabase) -> None:
    """Real complaints of a file and of the search API arrive field by field."""
    (file,) = RECORDED.glob("*.csv")
    with serve(Emulator(read_recordings(*RECORDED.glob("api-search-*.json")))) as url:
        load_complaints(database=path, api_url=url, graph=None)
    load_complaints(database=path, source="bulk", file=str(file), partial=True, graph=None)

    stats = export_postgres(path, target.url(), Selection())

    assert stats.tables["complaint"] > 70
    assert_same_rows(path, target)
