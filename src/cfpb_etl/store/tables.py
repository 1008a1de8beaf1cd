"""The tables of the SQLite file, by migration: each brings a file from one schema to the next.

The comments within the statements are kept in the file, where `.schema` shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.store.views import SEARCH_TRIGGERS, VIEWS, fill_product_today, make_views_anew

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable


def _m001_complaints_and_loads(connection: sqlite3.Connection) -> None:
    connection.execute("""
CREATE TABLE complaint (            -- a row for each complaint, in CFPB's words
    complaint_id INTEGER PRIMARY KEY, -- CFPB's number for the complaint
    date_received TEXT,             -- the day on which CFPB received it, YYYY-MM-DD
    product TEXT,                   -- as chosen when it was filed; product_today has today's name
    sub_product TEXT,               -- the kind of product, as chosen when it was filed
    issue TEXT,                     -- what it is about
    sub_issue TEXT,                 -- what it is about, more closely
    complaint_what_happened TEXT,   -- the consumer's narrative; sent until September 2026
    company_public_response TEXT,   -- the company's answer to the public
    company TEXT,                   -- the company, as CFPB spells it
    state TEXT,                     -- where the consumer lives, two letters
    zip_code TEXT,                  -- of the consumer; it may be masked, as 391XX
    tags TEXT,                      -- Older American, Servicemember, or both in one text
    consumer_consent_provided TEXT, -- to publish the narrative; sent until June 2026
    submitted_via TEXT,             -- Web, Phone and so on
    date_sent_to_company TEXT,      -- the day on which CFPB sent it to the company, YYYY-MM-DD
    company_response TEXT,          -- the company's answer to the consumer
    timely TEXT,                    -- Yes or No: whether the company answered in time
    consumer_disputed TEXT,         -- whether they disputed the answer; sent until June 2026
    load_id INTEGER NOT NULL REFERENCES load -- the newest load that wrote the row
)""")
    connection.execute("""
CREATE TABLE load (                -- what each run brought, and how it ended
    load_id INTEGER PRIMARY KEY,   -- counted up
    source TEXT NOT NULL,          -- api, bulk or archive, or sample for made-up complaints
    address TEXT NOT NULL,         -- where the source was
    query TEXT NOT NULL,           -- what was asked of it, JSON
    as_of TEXT,                    -- the day of the source's data, YYYY-MM-DD
    flow_run_id TEXT,              -- Prefect's
    program_version TEXT NOT NULL, -- cfpb-etl's
    started_at TEXT NOT NULL,      -- UTC
    ended_at TEXT,                 -- UTC
    outcome TEXT NOT NULL DEFAULT 'running' -- how it ended
        CHECK (outcome IN ('running', 'complete', 'failed', 'interrupted')),
    failure TEXT,                  -- what went wrong, in words
    parts INTEGER NOT NULL DEFAULT 0, -- pages or files stored
    complaints_read INTEGER NOT NULL DEFAULT 0, -- complaints that came
    inserted INTEGER NOT NULL DEFAULT 0, -- of these, not known before
    updated INTEGER NOT NULL DEFAULT 0, -- of these, known with other values
    unchanged INTEGER NOT NULL DEFAULT 0, -- of these, known just so
    matching INTEGER /* how many complaints the source said match the query */,
    next_part TEXT                 -- where the walk stands, JSON; NULL at its end
)""")


def _m002_windows_and_history(connection: sqlite3.Connection) -> None:
    for statement in (
        "ALTER TABLE complaint ADD COLUMN withdrawn_on TEXT"
        " /* the day on which CFPB was first seen not to have it any more; NULL while it has */",
        "CREATE INDEX complaint_date_received ON complaint (date_received)",
        "ALTER TABLE load DROP COLUMN next_part",
        "ALTER TABLE load ADD COLUMN updates INTEGER REFERENCES load"
        " /* the load whose query this one repeats, to bring it up to date */",
        "ALTER TABLE load ADD COLUMN complaint_limit INTEGER"
        " /* how many were asked for, the newest; NULL for all that match */",
        "UPDATE load SET complaint_limit = json_extract(query, '$.limit')",
        "ALTER TABLE load ADD COLUMN carried TEXT"
        " /* the columns that all of its parts carried, JSON */",
        "ALTER TABLE load ADD COLUMN until TEXT /* the last day that it covers */",
        "ALTER TABLE load ADD COLUMN oldest TEXT /* the first day received in what it read */",
        "ALTER TABLE load ADD COLUMN newest TEXT /* the last day received in what it read */",
        "ALTER TABLE load ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0"
        " /* complaints that its source was first seen not to have any more */",
        """
CREATE TABLE load_part (           -- where a load stands: a row for each window of days, or file
    part_id INTEGER PRIMARY KEY,   -- counted up
    load_id INTEGER NOT NULL REFERENCES load, -- the load that it is a part of
    key TEXT NOT NULL,             -- the window's first day, or the file's name
    next TEXT,                     -- where to go on, JSON; NULL when it is whole
    readings INTEGER NOT NULL DEFAULT 1, -- how often it was begun
    counted INTEGER,               -- how many complaints the source counts in it, by its last word
    moved INTEGER NOT NULL DEFAULT 0, -- by how many that count moved while it was read
    expected INTEGER,              -- when it was read: how many there had to be
    kept INTEGER,                  -- and how many distinct ones came
    UNIQUE (load_id, key)
)""",
        """
CREATE TABLE load_seen (           -- what came of a part that is not whole yet
    part_id INTEGER NOT NULL REFERENCES load_part, -- the part
    complaint_id INTEGER NOT NULL, -- a complaint that came
    PRIMARY KEY (part_id, complaint_id)
) WITHOUT ROWID""",
        """
CREATE TABLE complaint_change (    -- what became another value after it was first stored
    complaint_id INTEGER NOT NULL REFERENCES complaint, -- the complaint
    load_id INTEGER NOT NULL REFERENCES load, -- the load that brought the new value
    column_name TEXT NOT NULL,     -- the column of complaint
    old TEXT,                      -- what stood there
    new TEXT                       -- what stands there since
)""",
        "CREATE INDEX complaint_change_complaint ON complaint_change (complaint_id)",
    ):
        connection.execute(statement)


def _m003_files(connection: sqlite3.Connection) -> None:
    for statement in (
        "ALTER TABLE load ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0"
        " /* complaints read and not stored, since the database is a partial pull */",
        "ALTER TABLE load ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0"
        " /* complaints that a file had more than once: so many copies more */",
        "ALTER TABLE load ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0"
        " /* rows of files that cannot be complaints */",
        "ALTER TABLE load ADD COLUMN remarks TEXT"
        " /* the first of what was odd in its files, a line each */",
        "ALTER TABLE load_part ADD COLUMN etag TEXT"
        " /* what its server said that tells this version of a file from the next */",
        "ALTER TABLE load_part ADD COLUMN last_modified TEXT"
        " /* when its server says that the file was last changed */",
    ):
        connection.execute(statement)


def _m004_known_lines(connection: sqlite3.Connection) -> None:
    for statement in (
        """
CREATE TABLE line_block (          -- the lines of the daily file that was stored last, in its order
    block INTEGER PRIMARY KEY,     -- counted up
    fingerprints BLOB NOT NULL     -- of some hundred lines, 8 bytes each
)""",
        """
CREATE TABLE line_outdated (       -- complaints that may not be as in such a line any more
    complaint_id INTEGER PRIMARY KEY -- the complaint
)""",
        # Whoever changes a complaint. An upsert would take OR IGNORE for OR ABORT
        # (https://www.sqlite.org/lang_createtrigger.html section 2).
        *(
            f"""
CREATE TRIGGER complaint_{event.lower()} AFTER {event} ON complaint BEGIN
    INSERT INTO line_outdated SELECT OLD.complaint_id WHERE NOT EXISTS
        (SELECT 1 FROM line_outdated WHERE complaint_id = OLD.complaint_id);
END"""  # noqa: S608 - words of ours
            for event in ("UPDATE", "DELETE")
        ),
    ):
        connection.execute(statement)


def _m005_reading(connection: sqlite3.Connection) -> None:
    for statement in (
        "CREATE INDEX complaint_company ON complaint (company, date_received, timely)",
        "CREATE INDEX complaint_product ON complaint (product, date_received)",
        "CREATE INDEX complaint_withdrawn_on ON complaint (withdrawn_on)"
        " WHERE withdrawn_on IS NOT NULL",
        "CREATE INDEX complaint_change_load ON complaint_change (load_id)",
        """
CREATE TABLE product_today (       -- what a product is called today that was renamed since
    product TEXT NOT NULL,         -- as filed
    sub_product TEXT NOT NULL,     -- as filed, where it tells which of two names; else ''
    today TEXT NOT NULL,           -- as called today
    PRIMARY KEY (product, sub_product)
) WITHOUT ROWID""",
        *VIEWS,
        """
CREATE VIRTUAL TABLE narrative_search
    USING fts5(narrative, content='narratives', content_rowid='complaint_id')""",
        *SEARCH_TRIGGERS,
        "INSERT INTO narrative_search (rowid, narrative)"
        " SELECT complaint_id, narrative FROM narratives",
    ):
        connection.execute(statement)
    fill_product_today(connection)


def _m006_plain_words_and_an_index_less(connection: sqlite3.Connection) -> None:
    """Shares of what CFPB tells only; the loads' tables in lines, where they had grown to one.

    And an index less: of a million complaints each takes 0.7 s of a load of 10. States are found by
    the days' index, which is read whole in 0.04 s.
    """
    connection.execute("DROP INDEX IF EXISTS complaint_state")
    connection.execute("DROP INDEX IF EXISTS complaint_date_received")
    connection.execute("CREATE INDEX complaint_date_received ON complaint (date_received, state)")
    make_views_anew(connection)
    _make_anew(
        connection,
        "load",
        """
CREATE TABLE load (                -- what each run brought, and how it ended
    load_id INTEGER PRIMARY KEY,   -- the number of the load
    source TEXT NOT NULL,          -- api, bulk or archive, or sample for made-up complaints
    address TEXT NOT NULL,         -- where the source was
    query TEXT NOT NULL,           -- what was asked of it, JSON
    as_of TEXT,                    -- the day of the source's data, YYYY-MM-DD
    flow_run_id TEXT,              -- the number that Prefect gave the run
    program_version TEXT NOT NULL, -- of the cfpb-etl that ran
    started_at TEXT NOT NULL,      -- when it began, UTC
    ended_at TEXT,                 -- when it ended, UTC
    outcome TEXT NOT NULL DEFAULT 'running' -- how it ended
        CHECK (outcome IN ('running', 'complete', 'failed', 'interrupted')),
    failure TEXT,                  -- what went wrong, in words
    parts INTEGER NOT NULL DEFAULT 0, -- pages or files stored
    complaints_read INTEGER NOT NULL DEFAULT 0, -- complaints that came
    inserted INTEGER NOT NULL DEFAULT 0, -- of these, not known before
    updated INTEGER NOT NULL DEFAULT 0, -- of these, known with other values
    unchanged INTEGER NOT NULL DEFAULT 0, -- of these, known just so
    matching INTEGER,              -- how many complaints the source said match the query
    updates INTEGER REFERENCES load, -- the load whose query it repeated, to bring it up to date
    complaint_limit INTEGER,       -- how many were asked for, the newest; NULL for all that match
    carried TEXT,                  -- the columns that all of its parts carried, JSON
    until TEXT,                    -- the last day that it covers
    oldest TEXT,                   -- the first day received in what it read
    newest TEXT,                   -- the last day received in what it read
    withdrawn INTEGER NOT NULL DEFAULT 0, -- complaints first seen to be gone from its source
    left_out INTEGER NOT NULL DEFAULT 0, -- read and not stored, as the database is a partial pull
    repeated INTEGER NOT NULL DEFAULT 0, -- copies of complaints that a file had more than once
    rejected INTEGER NOT NULL DEFAULT 0, -- rows of files that cannot be complaints
    remarks TEXT                   -- the first of what was odd in its files, a line each
)""",
    )
    _make_anew(
        connection,
        "load_part",
        """
CREATE TABLE load_part (           -- where a load stands: a row for each window of days, or file
    part_id INTEGER PRIMARY KEY,   -- the number of the part
    load_id INTEGER NOT NULL REFERENCES load, -- the load that it is a part of
    key TEXT NOT NULL,             -- the window's first day, or the file's name
    next TEXT,                     -- where to go on, JSON; NULL when it is whole
    readings INTEGER NOT NULL DEFAULT 1, -- how often it was begun
    counted INTEGER,               -- how many complaints the source counts in it, by its last word
    moved INTEGER NOT NULL DEFAULT 0, -- by how many that count moved while it was read
    expected INTEGER,              -- how many complaints there had to be, once it is whole
    kept INTEGER,                  -- how many distinct complaints came, once it is whole
    etag TEXT,                     -- what its server said that tells this version from the next
    last_modified TEXT,            -- when its server says that the file was last changed
    UNIQUE (load_id, key)
)""",
    )


def _make_anew(connection: sqlite3.Connection, table: str, statement: str) -> None:
    """Make a table of the same columns anew, since SQLite keeps a table's text as it grew."""
    made = connection.execute(f"SELECT * FROM {table} LIMIT 0").description  # noqa: S608 - a word of ours
    connection.execute(statement.replace(f"CREATE TABLE {table}", "CREATE TABLE made_anew", 1))
    if connection.execute("SELECT * FROM made_anew LIMIT 0").description != made:
        connection.execute("DROP TABLE made_anew")  # a user added a column: the old text will do
        return
    hung_on = connection.execute(  # by a user
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND type <> 'table' AND sql IS NOT NULL",
        (table,),
    ).fetchall()
    connection.execute(f"INSERT INTO made_anew SELECT * FROM {table}")  # noqa: S608 - a word of ours
    connection.execute(f"DROP TABLE {table}")
    # Else SQLite refuses where a view of the user's reads the table, which is not there just now.
    connection.execute("PRAGMA legacy_alter_table = ON")
    connection.execute(f"ALTER TABLE made_anew RENAME TO {table}")
    connection.execute("PRAGMA legacy_alter_table = OFF")
    for (theirs,) in hung_on:
        connection.execute(theirs)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _m001_complaints_and_loads,
    _m002_windows_and_history,
    _m003_files,
    _m004_known_lines,
    _m005_reading,
    _m006_plain_words_and_an_index_less,
)
