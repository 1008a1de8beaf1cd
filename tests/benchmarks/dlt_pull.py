"""Load all complaints with dlt: its REST API source and SQLAlchemy destination, merged by id.

Run `python dlt_pull.py URL DATABASE FOLDER`; FOLDER is for dlt's own files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dlt  # type: ignore[import-not-found,unused-ignore] # it is only in the extra `bench`
from dlt.destinations import (  # type: ignore[import-not-found,unused-ignore] # as above
    sqlalchemy,
)
from dlt.sources.helpers.rest_client.paginators import (  # type: ignore[import-not-found,unused-ignore] # as above
    BasePaginator,
)
from dlt.sources.rest_api import (  # type: ignore[import-not-found,unused-ignore] # as above
    rest_api_source,
)

from cfpb_etl.model.complaint import Complaint

if TYPE_CHECKING:
    from requests import Request, Response

PAGE_SIZE = 10_000
DATES = [name for name in Complaint._fields if name.startswith("date_")]


class SearchAfter(BasePaginator):  # type: ignore[misc,unused-ignore] # as above
    """Pages that start after the last hit of the page before."""

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:  # noqa: ARG002 - dlt passes it
        """Keep the last hit's sort value, or stop after a page that is not full."""
        self._has_next_page = data is not None and len(data) == PAGE_SIZE
        if data:
            milliseconds, identity = data[-1]["sort"]
            self._cursor = f"{milliseconds}_{identity}"

    def update_request(self, request: Request) -> None:
        """Request the next page, if there is one; dlt calls this after the last page too."""
        if self._has_next_page:
            request.params["search_after"] = self._cursor


def row_of(hit: dict[str, Any]) -> dict[str, Any]:
    """Turn a hit into a row of the table."""
    row: dict[str, Any] = {name: value or None for name, value in hit["_source"].items()}
    row["complaint_id"] = int(row["complaint_id"])
    for name in DATES:
        day = row[name]
        row[name] = day and day[:10]
    return row


def main(url: str, database: Path, folder: Path) -> None:
    """Run a pipeline."""
    parts = urlsplit(url)
    source = rest_api_source(
        {
            "client": {"base_url": f"{parts.scheme}://{parts.netloc}", "paginator": SearchAfter()},
            "resources": [
                {
                    "name": "complaint",
                    "endpoint": {
                        "path": parts.path,
                        "params": {
                            "date_received_min": "2011-01-01",
                            "size": PAGE_SIZE,
                            "sort": "created_date_asc",
                            "no_aggs": "true",
                        },
                        "data_selector": "hits.hits",
                    },
                    "processing_steps": [{"map": row_of}],
                    "primary_key": "complaint_id",
                    "write_disposition": "merge",
                    # With types given, dlt does not have to detect them.
                    "columns": {
                        name: {"data_type": "bigint" if name == "complaint_id" else "text"}
                        for name in Complaint._fields
                    },
                }
            ],
        }
    )
    dlt.pipeline(
        pipeline_name="complaints",
        pipelines_dir=str(folder),
        destination=sqlalchemy(f"sqlite:///{database}", create_primary_keys=True),
        dataset_name="main",  # the file itself; another name would be another file
    ).run(source)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
