"""Later exports copy only what has changed, and the target then equals the database."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.model.query import Query
from cfpb_etl.publish.postgres.export import export_postgres
from cfpb_etl.read.selection import Selection
from support.loads import execute, interrupt, load, load_file, query
from support.parts import (
    ALL,
    JANUARY,
    JUNE,
    MARCH,
    NO_NARRATIVE,
    NextPart,
    complaint,
    complaints,
    part,
)
from support.postgres_rows import assert_same_rows, notes_about_target
from support.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.source import SourceKind
    from cfpb_etl.publish.export import ExportStats
    from support.postgres import PostgresDatabase

pytestmark = pytest.mark.slow

EVERYTHING = Selection()


def forget_edited(path: Path) -> None:
    """Make the database as it is after a daily file, when no complaint counts as edited.

    Otherwise these complaints would be exported too, and could hide that another one is missing.
    """
    execute(path, "DELETE FROM line_outdated")


def export(path: Path, target: PostgresDatabase, selection: Selection = EVERYTHING) -> ExportStats:
    """Export, compare every value of the target, and leave out notes about the source."""
    stats = export_postgres(path, target.url(), selection)
    assert_same_rows(path, target, selection)
    return replace(stats, notes=notes_about_target(path, stats, selection))


def test_nothing_has_changed(path: Path, target: PostgresDatabase) -> None:
    """Without new loads, no row is written."""
    load_file(path, *complaints(*range(100)))
    export(path, target)
    before = target.query("SELECT ctid::text, xmin::text FROM cfpb.complaint")

    stats = export(path, target)

    assert stats.tables == {"complaint": 100, "complaint_change": 0, "load": 1}
    assert stats.written == {"complaint": 0, "complaint_change": 0, "load": 0}
    assert stats.notes == ()
    assert target.query("SELECT ctid::text, xmin::text FROM cfpb.complaint") == before


def test_the_next_day(path: Path, target: PostgresDatabase) -> None:
    """New, changed and withdrawn complaints are written with their history, and no other row."""
    old = complaints(*range(200), state="CA", date_received="2026-01-02")
    load_file(path, *old, as_of=JANUARY)
    export(path, target)
    changed = [each._replace(state="NY") for each in old[:3]]
    load_file(path, *changed, *old[3:-1], complaint(500), as_of=MARCH)

    stats = export(path, target)

    assert stats.written == {"complaint": 3 + 1 + 1, "complaint_change": 3 + 1, "load": 1}
    assert stats.notes == ()
    withdrawn = "SELECT complaint_id, withdrawn_on::text FROM cfpb.complaint"
    assert target.query(f"{withdrawn} WHERE withdrawn_on IS NOT NULL") == [(199, MARCH)]

    load_file(path, *old, complaint(500), as_of=JUNE)
    export(path, target)
    assert target.query(f"{withdrawn} WHERE withdrawn_on IS NOT NULL") == []


def test_an_archive_fills_narratives(path: Path, target: PostgresDatabase) -> None:
    """An older load that fills gaps of a newer row is seen, although it does not set `load_id`."""
    rows = complaints(*range(100), state="CA")
    load_file(path, *rows, as_of=JUNE, columns=NO_NARRATIVE)
    export(path, target)
    filled = [each._replace(complaint_what_happened="Why?") for each in rows[:30]]
    load_file(path, *filled, kind="archive", as_of=JANUARY)
    forget_edited(path)
    assert query(path, "SELECT DISTINCT load_id FROM complaint") == [(1,)]

    stats = export(path, target)

    assert (stats.written["complaint"], stats.notes) == (30, ())


def test_a_load_that_is_resumed_after_a_later_one(path: Path, target: PostgresDatabase) -> None:
    """What a load changes after it was exported as incomplete is exported."""
    interrupt(path, part(complaint(1, state="CA"), complaint(2), next_parts=[NextPart()]))
    export(path, target)
    load(path, part(complaint(3), complaint(1, state="NY"), as_of=JUNE), query="{}")
    export(path, target)
    load(path, part(complaint(4), complaint(2, issue="Late"), complaint(1, state="TX")))
    forget_edited(path)
    assert query(path, "SELECT load_id, outcome FROM load") == [(1, "complete"), (2, "complete")]
    assert query(path, "SELECT complaint_id FROM complaint WHERE changed_load_id = 1 ORDER BY 1")

    stats = export(path, target)

    assert stats.written["complaint"] >= 2
    assert stats.notes == ()


def test_a_load_that_runs(path: Path, target: PostgresDatabase) -> None:
    """A load is exported while it runs, and again when it has ended."""
    seen = []

    def export_now() -> None:
        seen.append(export(path, target).tables["complaint"])

    first = part(complaint(1), complaint(2), next_parts=[NextPart()])
    second = part(complaint(3), complaint(2, state="CA"), next_parts=[NextPart(export_now)])
    load(path, first, second, part(complaint(4)))
    forget_edited(path)

    stats = export(path, target)

    assert (seen, stats.tables["complaint"]) == ([2], 4)
    assert stats.notes == ()


def test_complaints_that_no_longer_match(path: Path, target: PostgresDatabase) -> None:
    """With filters, a complaint leaves or enters the target when its values change."""
    selection = Selection(Query(company_response=("In progress",)))
    rows = complaints(1, 2, 3, 4, company_response="In progress")
    load_file(path, *rows, as_of=JANUARY)
    later = [each._replace(timely="No") for each in rows]
    later[1] = later[1]._replace(company_response="Closed")
    load_file(path, *later, as_of=MARCH)
    export(path, target, selection)
    back = later[1]._replace(company_response="In progress")
    closed = later[2]._replace(company_response="Closed")
    load_file(path, later[0], back, closed, later[3], as_of=JUNE)
    forget_edited(path)

    stats = export(path, target, selection)

    assert [row[0] for row in target.query("SELECT complaint_id FROM cfpb.complaint")] == [1, 4, 2]
    history = "SELECT column_name FROM cfpb.complaint_change WHERE complaint_id = 2"
    assert len(target.query(history)) == 3
    assert stats.written["complaint"] == 1
    assert stats.notes == ("Complaints removed from the target: 1.",)


def test_rows_that_a_user_has_changed(path: Path, target: PostgresDatabase) -> None:
    """An UPDATE or DELETE by another program is exported, although no load has changed the row."""
    load_file(path, *complaints(*range(10), state="CA"))
    export(path, target)
    execute(
        path,
        "UPDATE complaint SET state = 'NY' WHERE complaint_id = 3",
        "DELETE FROM complaint WHERE complaint_id = 4",
    )

    stats = export(path, target)

    assert stats.written["complaint"] == 1
    assert stats.notes == ("Complaints removed from the target: 1.",)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM cfpb.complaint WHERE complaint_id = 8",
        "INSERT INTO cfpb.complaint (complaint_id, changed_load_id) VALUES (77, 1)",
        "UPDATE cfpb.complaint SET withdrawn_on = '2026-01-01' WHERE complaint_id = 8",
        "UPDATE cfpb.complaint SET changed_load_id = 2 WHERE complaint_id = 8",
        "INSERT INTO cfpb.complaint_change (complaint_id, load_id) VALUES (8, 1)",
        "DELETE FROM cfpb.complaint_change",
    ],
)
def test_rows_that_were_changed_in_the_target(
    path: Path, target: PostgresDatabase, change: str
) -> None:
    """If the tables differ after the merge, all rows are compared, and a note gives the reason."""
    rows = complaints(*range(10), state="CA")
    load_file(path, *rows, as_of=JANUARY)
    load_file(path, *[each._replace(state="NY") for each in rows[:5]], *rows[5:], as_of=MARCH)
    export(path, target)
    target.execute(change)

    stats = export(path, target)

    table = "complaint_change" if "complaint_change" in change else "complaint"
    assert stats.notes[0] == (
        f"All rows were compared, because the table {table} differed from the database."
    )


@pytest.mark.parametrize(
    "setting",
    [
        "datestyle%3DGerman",
        "datestyle%3DSQL,MDY",
        "quote_all_identifiers%3Don",
        "default_transaction_isolation%3Dserializable",
        "timezone%3DPacific/Auckland",
    ],
)
def test_settings_of_the_user(path: Path, target: PostgresDatabase, setting: str) -> None:
    """Only what has changed is copied, whatever the settings of the session are."""
    url = target.url(options=f"?options=-c{setting}")
    load_file(path, *complaints(1, 2, 3), as_of=JANUARY)
    export_postgres(path, url, EVERYTHING)
    load_file(path, *complaints(1, 2, 3, 4), as_of=MARCH)
    forget_edited(path)

    stats = export_postgres(path, url, EVERYTHING)

    assert (stats.written["complaint"], stats.notes) == (1, ())
    assert_same_rows(path, target)


def test_tables_that_inherit(path: Path, target: PostgresDatabase) -> None:
    """The rows of a user's own table stay, also if it inherits from a table of the export."""
    load_file(path, *complaints(1, 2), as_of=JANUARY)
    export(path, target)
    for table in ("complaint", "complaint_change"):
        target.execute(
            f"CREATE TABLE public.my_{table} () INHERITS (cfpb.{table})",
            f"INSERT INTO public.my_{table} (complaint_id, load_id) VALUES (777, 1)",  # noqa: S608 - our names
        )
    load_file(path, *complaints(1, state="CA"), *complaints(2), as_of=MARCH)

    stats = export_postgres(path, target.url(), EVERYTHING)

    assert stats.tables["complaint"] == 2
    assert notes_about_target(path, stats, EVERYTHING) == ()
    for table in ("complaint", "complaint_change"):
        assert target.query(f"TABLE public.my_{table}")[0][0] == 777


# --- the target is compared as a whole ------------------------------------------------------


def test_another_selection(path: Path, target: PostgresDatabase) -> None:
    """With other filters, tables or without narratives, rows are added, removed and changed."""
    rows = complaints(*range(10), state="CA", complaint_what_happened="Why?")
    load_file(path, *rows, *complaints(*range(10, 20), state="NY"), as_of=JANUARY)
    load_file(path, *rows, *complaints(*range(10, 20), state="TX"), as_of=MARCH)
    reason = (
        "All rows were compared, because the last export had other tables, filters or narratives."
    )
    selections = [
        EVERYTHING,
        Selection(Query(state=("CA",))),
        Selection(Query(state=("TX", "CA"))),
        Selection(narratives=False),
        Selection(tables=("complaint", "load")),
        Selection(tables=("load",)),
        Selection(Query(state=("NY",))),
        EVERYTHING,
    ]

    notes = [export(path, target, each).notes for each in selections]

    assert notes[0] == ()
    assert all(reason in each for each in notes[1:])
    assert "Complaints removed from the target: 10." in notes[1]
    dropped = "The table {} was dropped, because it was not selected."
    assert dropped.format("complaint_change") in notes[4]
    assert dropped.format("complaint") in notes[5]
    # The order of several values is of no importance.
    export(path, target, Selection(Query(state=("CA", "TX"))))
    assert export(path, target, Selection(Query(state=("TX", "CA")))).notes == ()


def test_another_database(path: Path, target: PostgresDatabase, tmp_path: Path) -> None:
    """Another database replaces the rows, even if its loads have the same numbers."""
    load_file(path, *complaints(1, 2, 3))
    other = tmp_path / "other.db"
    load_file(other, *complaints(3, 4, state="CA"), key="other.csv")
    execute(other, "UPDATE load SET started_at = '2026-01-01T00:00:00+00:00'")
    export(path, target)

    stats = export(other, target)

    assert stats.notes == (
        "All rows were compared, because the last export was of another database.",
        "Complaints removed from the target: 2.",
    )
    assert stats.tables["complaint"] == 2


def test_a_copy_and_a_backup(path: Path, target: PostgresDatabase, tmp_path: Path) -> None:
    """A copy of the database is the same database; a backup without the newest load is not."""
    load_file(path, *complaints(1, 2), as_of=JANUARY)
    copy = tmp_path / "moved" / "copy.db"
    copy.parent.mkdir()
    execute(path, f"VACUUM INTO '{copy}'")
    load_file(path, *complaints(1, 2, 3), as_of=MARCH)
    export(copy, target)

    assert export(path, target).notes == ()
    assert "another database" in export(copy, target).notes[0]
    # The backup goes its own way.
    load_file(copy, *complaints(1, 2, 3, 4), as_of=JUNE)
    assert export(copy, target).notes == ()
    assert "another database" in export(path, target).notes[0]


def test_a_table_that_a_user_has_dropped(path: Path, target: PostgresDatabase) -> None:
    """A table, view or index that is missing is created again."""
    load_file(path, *complaints(1, 2))
    export(path, target)
    target.execute("DROP VIEW cfpb.narratives", "DROP INDEX cfpb.complaint_company")
    assert export(path, target).notes == ()
    target.execute("DROP TABLE cfpb.complaint CASCADE")

    stats = export(path, target)

    assert stats.notes == ("All rows were compared, because the table complaint was missing.",)
    assert target.query("SELECT COUNT(*) FROM pg_indexes WHERE tablename = 'complaint'") == [(5,)]


# --- any loads ------------------------------------------------------------------------------


class RandomLoads:
    """Loads of any kind, in any order, with exports between them."""

    def __init__(self, path: Path, dice: random.Random) -> None:
        self.path = path
        self.dice = dice

    def complaints(self) -> list[Complaint]:
        """Return some of 40 complaints, with any values."""
        numbers = self.dice.sample(range(40), self.dice.randrange(1, 40))
        return [
            complaint(
                number,
                date_received=f"2026-01-{number % 28 + 1:02}",
                state=self.dice.choice(("CA", "NY", None)),
                timely=self.dice.choice(("Yes", "No")),
                complaint_what_happened=self.dice.choice(("Why?", None, None)),
            )
            for number in numbers
        ]

    def file(self) -> None:
        """Load a daily file or an archive of any day."""
        kinds: list[SourceKind] = ["bulk", "bulk", "archive"]
        kind = self.dice.choice(kinds)
        columns = self.dice.choice((ALL, NO_NARRATIVE))
        load_file(self.path, *self.complaints(), kind=kind, columns=columns, **self.day())

    def pages(self) -> None:
        """Load pages of the search API, or resume such a load."""
        load(self.path, part(*self.complaints(), **self.day()), query=self.query())

    def part_of_a_load(self) -> None:
        """Interrupt a load after its first page."""
        page = part(*self.complaints(), next_parts=[NextPart()], **self.day())
        interrupt(self.path, page, query=self.query())

    def edit(self) -> None:
        """Change or delete a row as another program does."""
        number = self.dice.randrange(40)
        change = self.dice.choice(("UPDATE complaint SET state = 'TX'", "DELETE FROM complaint"))
        execute(self.path, f"{change} WHERE complaint_id = {number}")

    def day(self) -> dict[str, str]:
        """Return the day of the data."""
        return {"as_of": self.dice.choice((JANUARY, MARCH, JUNE))}

    def query(self) -> str:
        """Return one of two requests, so that one is resumed after the other."""
        return self.dice.choice(("{}", '{"state": ["CA"]}'))


@pytest.mark.parametrize(
    "selection",
    [EVERYTHING, Selection(Query(state=("CA",)), narratives=False)],
    ids=["everything", "filtered"],
)
def test_any_loads(path: Path, target: PostgresDatabase, selection: Selection) -> None:
    """After loads of any kind, interrupted and resumed in any order, the target is equal.

    It never has to be compared as a whole.
    """
    seed = random.randrange(10**6)  # noqa: S311 - moments, not secrets
    print("seed", seed)
    loads = RandomLoads(path, random.Random(seed))  # noqa: S311 - as above
    loads.file()
    kinds = (loads.file, loads.pages, loads.pages, loads.part_of_a_load, loads.part_of_a_load)
    for _ in range(soak(30)):
        for _ in range(loads.dice.randrange(4)):
            try:
                loads.dice.choice(kinds)()
            except CfpbEtlError as error:  # the load has failed, which is exported too
                print(error)
        forget_edited(path)
        for _ in range(loads.dice.randrange(2)):
            loads.edit()
        notes = export(path, target, selection).notes
        assert all("removed from the target" in each for each in notes), notes
