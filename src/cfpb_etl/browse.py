"""A database in the browser: Datasette, read-only, told what everything in it means."""

from __future__ import annotations

import signal
import socket
import sys
import webbrowser
from typing import TYPE_CHECKING, Any

import uvicorn

from cfpb_etl.descriptions import descriptions
from cfpb_etl.errors import MissingExtraError
from cfpb_etl.questions import QUESTIONS
from cfpb_etl.schema import opened_for_reading

if TYPE_CHECKING:
    from pathlib import Path

try:
    from datasette.app import Datasette  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "inspect") from error

_HOST, _PORT = "127.0.0.1", 8001  # Datasette's own; another where it is taken
_CAVEAT = (
    "Complaints are as consumers told them: CFPB does not verify them. They are not scaled by size;"
    " large companies and states naturally have more."
)
_SETTINGS = {
    # What reads 18 million complaints from an index takes some seconds, where a second is allowed.
    "sql_time_limit_ms": 20_000,
    "facet_time_limit_ms": 3_000,
    "suggest_facets": False,  # it would look at every column of every complaint
    "allow_download": False,
    "truncate_cells_html": 300,
}
_SEARCHED = {"fts_table": "narrative_search", "fts_pk": "complaint_id"}
_SHOWN: dict[str, dict[str, Any]] = {
    "complaint": _SEARCHED | {"sort_desc": "date_received", "facets": ["product", "state"]},
    "narratives": _SEARCHED,
    "load": {"sort_desc": "load_id"},
    **{name: {"hidden": True} for name in ("load_seen", "line_block", "line_outdated")},
}


def metadata(database: Path) -> dict[str, Any]:
    """Return what Datasette shows of a database beside its rows.

    Shaped as in https://docs.datasette.io/en/stable/metadata.html.
    """
    tables = {
        name: {
            "description": f"{each.words[:1].upper()}{each.words[1:]}.",
            "columns": each.columns,
            **_SHOWN.get(name, {}),
        }
        for name, each in descriptions().items()
    }
    queries = {
        each.name: {"title": each.words, "sql": each.sql.rstrip(";"), "hide_sql": False}
        for each in QUESTIONS
    }
    return {
        "title": "CFPB consumer complaints",
        "description": _CAVEAT,
        "license": "CC0, public domain",
        "license_url": "https://creativecommons.org/publicdomain/zero/1.0/",
        "source": "Consumer Financial Protection Bureau",
        "source_url": "https://www.consumerfinance.gov/data-research/consumer-complaints/",
        "databases": {
            database.stem: {"description": _CAVEAT, "tables": tables, "queries": queries}
        },
    }


def application(database: Path) -> Datasette:
    """Return Datasette for a database, which it opens to be read only.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be read as one of ours.
    """
    with opened_for_reading(database):
        return Datasette([str(database)], metadata=metadata(database), settings=_SETTINGS)


def serve_database(database: Path) -> None:
    """Show a database in the browser until Ctrl-C.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be read as one of ours.
    """
    config = uvicorn.Config(application(database).app(), log_level="warning")
    with _listening() as listening:
        url = f"http://{_HOST}:{listening.getsockname()[1]}/{database.stem}"
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        if sys.stdout.isatty():
            webbrowser.open(url)
        for number in (signal.SIGINT, signal.SIGTERM):
            # The server ends on these, and then hands them on to what was there before.
            signal.signal(number, signal.SIG_IGN)
        uvicorn.Server(config).run(sockets=[listening])


def _listening() -> socket.socket:
    for port in (_PORT, 0):
        listening = socket.socket()
        try:
            listening.bind((_HOST, port))
        except OSError:
            listening.close()
            if not port:
                raise
        else:
            break
    listening.listen()  # who asks before the server is up waits for it
    return listening
