"""Pull all complaints with the flow, as the command line does but for CFPB's pace.

Run `python our_pull.py URL DATABASE`; the last line that it prints is the seconds from the first
request to the last commit.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests

from cfpb_etl.cli.run import run
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.query import Query
from cfpb_etl.store.sqlite_file import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

send = requests.Session.send
asked_at: list[float] = []
committed_at: list[float] = []


def noted_send(*args: Any, **options: Any) -> requests.Response:
    """Note when a request is sent."""
    asked_at.append(time.monotonic())
    return send(*args, **options)


@contextmanager
def noted_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Note when a transaction is committed."""
    with transaction(connection):
        yield
    committed_at.append(time.monotonic())


if __name__ == "__main__":
    source = SearchApi(query=Query(since="2011-01-01"), url=sys.argv[1], rate_limit=None)
    with (
        patch("requests.Session.send", noted_send),
        patch("cfpb_etl.store.part_writer.transaction", noted_transaction),
    ):
        code = run(source, Path(sys.argv[2]), None, verbose=False)
    print(committed_at[-1] - asked_at[0])
    sys.exit(code)
