"""Load all complaints of a search API with the flow, as the command line does.

Run `python our_pull.py URL DATABASE`. The last line of the output is the seconds from the first
request to the last commit, and the line before has the seconds from the first request to each
request. CFPB's rate limit is kept only with RATE_LIMIT in the environment.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests

from cfpb_etl.cli.run import run
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.parameters.load_parameters import LoadParameters
from cfpb_etl.store.sqlite_file import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

send = requests.Session.send
sent_at: list[float] = []
committed_at: list[float] = []


def noted_send(*args: Any, **options: Any) -> requests.Response:
    """Note when a request is sent."""
    sent_at.append(time.monotonic())
    return send(*args, **options)


@contextmanager
def noted_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Note when a transaction is committed."""
    with transaction(connection):
        yield
    committed_at.append(time.monotonic())


if __name__ == "__main__":
    url, database = sys.argv[1:]
    options = LoadParameters(since="2011-01-01", api_url=url, database=Path(database), graph=None)
    unlimited = patch("cfpb_etl.fetch.search_api.SearchApi", partial(SearchApi, rate_limit=None))
    with (
        nullcontext() if os.environ.get("RATE_LIMIT") else unlimited,
        patch("requests.Session.send", noted_send),
        patch("cfpb_etl.store.part_writer.transaction", noted_transaction),
    ):
        code = run(options.to_source(), options, verbose=False)
    if code:
        sys.exit(code)
    print(*(each - sent_at[0] for each in sent_at))
    print(committed_at[-1] - sent_at[0])
