"""Load a CSV of complaints into a table of DuckDB, with the types of our columns.

Run `python duckdb_bulk.py CSV DATABASE`. DuckDB stores into its own format, without indexes.
"""

from __future__ import annotations

import sys

import duckdb  # type: ignore[import-not-found,unused-ignore] # it is only in the extra `bench`

from cfpb_etl.model.complaint import CSV_COLUMNS


def main(csv: str, database: str) -> None:
    """Load the file."""
    with open(csv, encoding="utf-8") as file:  # noqa: PTH123 - the first line only
        titles = file.readline().strip().split(",")
    columns = {
        CSV_COLUMNS[title]: "BIGINT" if title == "Complaint ID" else "VARCHAR" for title in titles
    }
    with duckdb.connect(database) as connection:
        connection.execute(
            "CREATE TABLE complaint AS SELECT * FROM read_csv(?, header = true, columns = ?)",
            [csv, columns],
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
