-- The tables of the SQLite file. For a new file, `sqlite_file.create_schema` runs this script, then
-- views.sql. SQLite keeps comments within a statement. `.schema` shows these comments, and
-- `read/descriptions.py` reads one comment for each line. SQLite 3.26 must be able to read the
-- stored statements, so they have no FILTER, RETURNING, STRICT or generated columns.

CREATE TABLE complaint (            -- one row per complaint, with CFPB's values
    complaint_id INTEGER PRIMARY KEY, -- CFPB's number of the complaint
    date_received TEXT,             -- day on which CFPB received it, YYYY-MM-DD
    product TEXT,                   -- product as filed; product_today has its current name
    sub_product TEXT,               -- kind of product, as filed
    issue TEXT,                     -- what the complaint is about
    sub_issue TEXT,                 -- what the complaint is about, in more detail
    complaint_what_happened TEXT,   -- the consumer's narrative; sent until September 2026
    company_public_response TEXT,   -- the company's public response
    company TEXT,                   -- the company, as CFPB spells it
    state TEXT,                     -- where the consumer lives, mostly two letters
    zip_code TEXT,                  -- ZIP code of the consumer; it may be masked, as 391XX
    tags TEXT,                      -- Older American, Servicemember, or both in one text
    consumer_consent_provided TEXT, -- consent to publish the narrative; sent until June 2026
    submitted_via TEXT,             -- Web, Phone and so on
    date_sent_to_company TEXT,      -- day on which CFPB sent it to the company, YYYY-MM-DD
    company_response TEXT,          -- the company's response to the consumer
    timely TEXT,                    -- Yes or No: whether the company responded in time
    consumer_disputed TEXT,         -- whether the consumer disputed it; sent until June 2026
    load_id INTEGER NOT NULL REFERENCES load, -- the load whose values count
    first_load_id INTEGER NOT NULL REFERENCES load, -- the load that first stored the row
    changed_load_id INTEGER NOT NULL REFERENCES load, -- the newest load that changed the row
    withdrawn_on TEXT               -- day by which the complaint was missing at CFPB, or NULL
);

-- Each index adds 0.7 s to a load of a million complaints, which takes 10 s. A query about states
-- reads the whole index on days, in 0.04 s.
CREATE INDEX complaint_date_received ON complaint (date_received, state);
CREATE INDEX complaint_company ON complaint (company, date_received, timely);
CREATE INDEX complaint_product ON complaint (product, date_received);
CREATE INDEX complaint_withdrawn_on ON complaint (withdrawn_on) WHERE withdrawn_on IS NOT NULL;

-- The counts, and the columns `matching`, `oldest` and `newest`, are fields of LoadStats.
CREATE TABLE load (                 -- one row per load: its source, its results and its end
    load_id INTEGER PRIMARY KEY,    -- number of the load
    source TEXT NOT NULL,           -- api, bulk or archive; or sample for made-up complaints
    address TEXT NOT NULL,          -- address of the source
    query TEXT NOT NULL,            -- what was requested, JSON
    is_partial INTEGER NOT NULL,    -- 1 if the source has only a part of all complaints
    row_limit INTEGER,              -- how many were requested, newest first; NULL for all
    updates_load_id INTEGER REFERENCES load, -- the earlier load that an update repeats
    part_reason TEXT,               -- why a file counts as a part of all complaints, or NULL
    as_of_earliest TEXT,            -- earliest possible day of the data, YYYY-MM-DD
    as_of_latest TEXT,              -- latest possible day of the data; equal if the day is certain
    taken_from TEXT,                -- first day on which a part can have been taken from CFPB
    as_of_evidence TEXT,            -- what shows the day of the data, such as Last-Modified
    covers_until TEXT,              -- last day received that the load covers
    columns_sent TEXT,              -- the columns that all its parts have, JSON
    flow_run_id TEXT,               -- id of the Prefect flow run
    program_version TEXT NOT NULL,  -- version of cfpb-etl
    started_at TEXT NOT NULL,       -- start, UTC
    ended_at TEXT,                  -- end, UTC
    outcome TEXT NOT NULL DEFAULT 'running' -- how it ended
        CHECK (outcome IN ('running', 'complete', 'failed', 'interrupted')),
    failure TEXT,                   -- why it failed
    parts INTEGER NOT NULL DEFAULT 0, -- pages or files stored
    rows INTEGER NOT NULL DEFAULT 0, -- complaints read
    new INTEGER NOT NULL DEFAULT 0, -- complaints read that were not stored before
    changed INTEGER NOT NULL DEFAULT 0, -- complaints read that were stored with other values
    unchanged INTEGER NOT NULL DEFAULT 0, -- complaints read that were stored with equal values
    withdrawn INTEGER NOT NULL DEFAULT 0, -- stored complaints that the source no longer has
    born_withdrawn INTEGER NOT NULL DEFAULT 0, -- new complaints that newer data no longer have
    skipped INTEGER NOT NULL DEFAULT 0, -- complaints of the archive that were not stored
    duplicates INTEGER NOT NULL DEFAULT 0, -- repeated copies of complaints in one file
    rejected INTEGER NOT NULL DEFAULT 0, -- rows of files that are not valid complaints
    not_applied INTEGER NOT NULL DEFAULT 0, -- complaints with other values that were not stored
    values_not_applied INTEGER NOT NULL DEFAULT 0, -- their values that were not stored
    uncertain INTEGER NOT NULL DEFAULT 0, -- these values, if nothing shows which data are newer
    after_today INTEGER NOT NULL DEFAULT 0, -- complaints with a day later than the day of the load
    matching INTEGER,               -- complaints that matched at the source when first asked
    source_total INTEGER,           -- complaints that the source has in all
    oldest TEXT,                    -- first day received among the complaints read
    newest TEXT,                    -- last plausible day received among the complaints read
    warnings TEXT                   -- the first problems in its files, one a line
);

CREATE TABLE load_part (            -- checkpoint of a load: one row per date window or file
    part_id INTEGER PRIMARY KEY,    -- number of the part
    load_id INTEGER NOT NULL REFERENCES load, -- the load of the part
    key TEXT NOT NULL,              -- first day of the window, or name of the file
    next TEXT,                      -- what to fetch next, JSON; NULL when all was stored
    readings INTEGER NOT NULL DEFAULT 1, -- how often the window was read or is being read
    counted INTEGER,                -- complaints in the window by the source's latest count
    moved INTEGER NOT NULL DEFAULT 0, -- how much the count changed while the window was read
    expected INTEGER,               -- complaints in the window by the source's last count
    received INTEGER,               -- distinct complaints received in the window
    etag TEXT,                      -- ETag of the file's stored version
    last_modified TEXT,             -- Last-Modified of the file's stored version
    UNIQUE (load_id, key)
);

CREATE TABLE load_seen (            -- complaints received in windows that are not complete
    part_id INTEGER NOT NULL REFERENCES load_part, -- the part
    complaint_id INTEGER NOT NULL,  -- a complaint received
    PRIMARY KEY (part_id, complaint_id)
) WITHOUT ROWID;

CREATE TABLE load_presence (        -- which stored complaints a load of a part has seen or missed
    load_id INTEGER NOT NULL REFERENCES load, -- the load
    is_present INTEGER NOT NULL,    -- 1 if it has the complaints, 0 if marked ones are still missing
    complaint_ids BLOB NOT NULL     -- complaint ids: a 64-bit roaring bitmap
);

CREATE INDEX load_presence_load ON load_presence (load_id);

CREATE TABLE complaint_change (     -- previous values: one row per changed value
    complaint_id INTEGER NOT NULL REFERENCES complaint, -- the complaint
    load_id INTEGER NOT NULL REFERENCES load, -- the load that changed the value
    column_name TEXT NOT NULL,      -- the column of complaint
    old TEXT,                       -- the value before
    new TEXT                        -- the value after
);

CREATE INDEX complaint_change_complaint ON complaint_change (complaint_id);
CREATE INDEX complaint_change_load ON complaint_change (load_id);

CREATE TABLE line_block (           -- lines of the stored version of the daily file, in its order
    block INTEGER PRIMARY KEY,      -- number of the block
    line_hashes BLOB NOT NULL       -- hashes of some hundred lines, 8 bytes each
);

CREATE TABLE line_outdated (        -- complaints that may differ from their line in line_block
    complaint_id INTEGER PRIMARY KEY -- the complaint
);

-- The triggers run whatever program changes a complaint. INSERT OR IGNORE cannot be used here:
-- within an upsert it becomes OR ABORT (https://www.sqlite.org/lang_createtrigger.html section 2).
CREATE TRIGGER complaint_update AFTER UPDATE ON complaint BEGIN
    INSERT INTO line_outdated SELECT OLD.complaint_id WHERE NOT EXISTS
        (SELECT 1 FROM line_outdated WHERE complaint_id = OLD.complaint_id);
END;

CREATE TRIGGER complaint_delete AFTER DELETE ON complaint BEGIN
    INSERT INTO line_outdated SELECT OLD.complaint_id WHERE NOT EXISTS
        (SELECT 1 FROM line_outdated WHERE complaint_id = OLD.complaint_id);
END;
