"""Load all complaints with the shortest possible loop, with only requests and sqlite3.

Run `python bare_pull.py URL DATABASE`; it prints the seconds from the first request to the last
commit.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.store.sqlite_file import connect, ensure_schema

PAGE_SIZE = 10_000
FIELDS = Complaint._fields
ID = FIELDS.index("complaint_id")
DATES = [place for place, name in enumerate(FIELDS) if name.startswith("date_")]
INSERT = (
    f"INSERT OR REPLACE INTO complaint ({', '.join(FIELDS)}, load_id, first_load_id,"  # noqa: S608 - our own names
    f" changed_load_id) VALUES ({', '.join('?' * len(FIELDS))}, 1, 1, 1)"
)


def complaint_of(source: dict[str, Any]) -> Complaint:
    """Turn a hit's `_source` into a complaint."""
    row = [source.get(name) or None for name in FIELDS]
    row[ID] = int(source["complaint_id"])
    for place in DATES:
        day = row[place]
        row[place] = day and day[:10]
    return Complaint._make(row)


def main(url: str, database: Path) -> None:
    """Fetch page after page, and commit each."""
    with closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)
        connection.execute(
            "INSERT INTO load (source, address, query, is_partial, program_version, started_at)"
            " VALUES ('api', ?, '{}', 1, 'bare', datetime())",
            (url,),
        )
        parameters = {
            "date_received_min": "2011-01-01",
            "size": str(PAGE_SIZE),
            "sort": "created_date_asc",
            "no_aggs": "true",
        }
        started = time.monotonic()
        with requests.Session() as session:
            while True:
                response = session.get(url, params=parameters, timeout=90)
                response.raise_for_status()
                hits = response.json()["hits"]["hits"]
                complaints = [complaint_of(hit["_source"]) for hit in hits]
                connection.execute("BEGIN")
                connection.executemany(INSERT, complaints)
                connection.commit()
                if len(hits) < PAGE_SIZE:
                    break
                milliseconds, identity = hits[-1]["sort"]
                parameters["search_after"] = f"{milliseconds}_{identity}"
        print(time.monotonic() - started)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
