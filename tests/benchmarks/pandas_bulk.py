"""Load a CSV of complaints with pandas into a SQLite table that exists.

Run `python pandas_bulk.py CSV DATABASE [INDEX...]`; each INDEX has the names of columns with commas
between them. The indexes are created last, which is faster.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing

import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore] # it is only in the extra `bench`

from cfpb_etl.model.complaint import CSV_COLUMNS


def main(csv: str, database: str, *indexes: str) -> None:
    """Load the file, and create the indexes."""
    read = pd.read_csv(csv, dtype=str, keep_default_na=False).rename(columns=CSV_COLUMNS)
    read["complaint_id"] = read["complaint_id"].astype(int)
    with closing(sqlite3.connect(database)) as connection:
        read.to_sql("complaint", connection, if_exists="append", index=False)
        for number, columns in enumerate(indexes):
            connection.execute(f"CREATE INDEX i{number} ON complaint ({columns})")
        connection.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
