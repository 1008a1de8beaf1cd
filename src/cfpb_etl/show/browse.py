"""A database in the browser: read-only in Datasette, with descriptions of tables and columns."""

from __future__ import annotations

import signal
import socket
import sqlite3
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

import uvicorn

from cfpb_etl.errors import MissingExtraError
from cfpb_etl.read.descriptions import Description, read_descriptions
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.show.status import Status, read_status
from cfpb_etl.store.sqlite_file import open_for_reading, read_only_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from starlette.types import ASGIApp, Receive, Scope, Send

try:
    from datasette.app import Datasette  # type: ignore[import-untyped]
    from datasette.database import Database  # type: ignore[import-untyped]
    from datasette.plugins import pm  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "inspect") from error

# If the package rich is installed, Datasette prints all local variables for every wrong URL.
pm.get_plugin("datasette.handle_exception").rich = None

_NAME = "complaints"  # the database's name in URLs, whatever the name of the file
_HOST, _PORT = "127.0.0.1", 8001  # Datasette's default port
_OVERVIEW = (
    "Start with the five queries. The main tables are complaint (one row per complaint),"
    " complaint_change (previous values) and load (one row per load). The views contain counts."
)
_SOURCE = {
    "license": "CC0, public domain",
    "license_url": "https://creativecommons.org/publicdomain/zero/1.0/",
    "source": "Consumer Financial Protection Bureau",
    "source_url": "https://www.consumerfinance.gov/data-research/consumer-complaints/",
}
_SETTINGS = {
    # Reading 18 million complaints from an index takes seconds. Datasette's default is one second.
    "sql_time_limit_ms": 20_000,
    "facet_time_limit_ms": 3_000,
    "num_sql_threads": 8,  # with the default of three, three slow queries would block all pages
    "default_facet_size": 8,
    "suggest_facets": False,  # to suggest facets, Datasette reads every column of every complaint
    "allow_download": False,
    "truncate_cells_html": 300,
}
_SEARCHABLE = {"fts_table": "narrative_search", "fts_pk": "complaint_id"}
_TABLES: dict[str, dict[str, Any]] = {
    "complaint": _SEARCHABLE | {"sort_desc": "date_received", "facets": ["product", "company"]},
    "narratives": _SEARCHABLE,
    "load": {"sort_desc": "load_id"},
    "load_part": {"hidden": True},
    "load_seen": {"hidden": True},
    "line_block": {"hidden": True},
    "line_outdated": {"hidden": True},
}
_COMPARISONS = ("complaints_by_company", "complaints_by_state", "timeliness_by_company")
# The descriptions of twenty columns would push the first row off the screen.
_STYLE = "dl.column-descriptions { max-height: 7.8rem; overflow-y: auto }"


def metadata(status: Status, descriptions: dict[str, Description]) -> dict[str, Any]:
    """Return the titles and descriptions that Datasette shows.

    The format is described at https://docs.datasette.io/en/stable/metadata.html.
    """
    caveats = " ".join(text for caveat in status.caveats for text in caveat)
    hints = dict.fromkeys(_COMPARISONS, caveats) | dict.fromkeys(
        ("complaint", "narratives"), "The search finds words in narratives, not in other columns."
    )
    tables = {}
    for name, each in descriptions.items():
        text = f"{each.text[:1].upper()}{each.text[1:]}. {hints.get(name, '')}".rstrip()
        tables[name] = {"description": text, "columns": each.columns, **_TABLES.get(name, {})}
    queries = {
        each.name: {
            "title": each.title,
            "description": each.caveat,
            "sql": each.sql.rstrip(";"),
            "hide_sql": False,
        }
        for each in QUESTIONS
    }
    description = f"{caveats} {_OVERVIEW} The file is {Path(status.database).name}."
    return {
        "title": status.title,
        "description": description,
        "extra_css_urls": [f"data:text/css,{quote(_STYLE)}"],
        **({} if status.is_sample else _SOURCE),
        "databases": {_NAME: {"description": description, "tables": tables, "queries": queries}},
    }


class _ReadOnlyDatabase(Database):  # type: ignore[misc] # Database is Any
    """A database file that is always opened read-only, whatever its name is.

    Datasette puts the path into a URI without escaping. A `?` or `#` in the path would end the name
    before `mode=ro`. Datasette would then open another file for writing.
    """

    def connect(self, write: bool = False) -> sqlite3.Connection:  # noqa: ARG002, FBT001, FBT002
        # Datasette's own flag for immutable files is not used: with it, Datasette hashes 9 GB
        # first.
        address = read_only_address(Path(self.path))
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        self._all_file_connections.append(connection)
        return connection

    def interrupt(self) -> None:
        for connection in self._all_file_connections:
            connection.interrupt()


def make_datasette(database: Path) -> Datasette:
    """Return a Datasette application for a database, which is opened read-only.

    Raises:
        DatabaseError: If the file cannot be read as a cfpb-etl database; each subclass is one
            reason.
    """
    with open_for_reading(database) as connection:
        texts = metadata(read_status(connection, database), read_descriptions(connection))
    datasette = Datasette([], metadata=texts, settings=_SETTINGS)
    datasette.remove_database("_memory")
    datasette.add_database(_ReadOnlyDatabase(datasette, path=str(database)), name=_NAME)
    return datasette


def serve_database(
    database: Path, signals: Iterable[int], print_url: Callable[[str], object]
) -> int:
    """Serve a database to the browser until a signal comes, and return the signal's number.

    Args:
        database: The SQLite file.
        signals: The signals that stop the server, unless this process ignores them.
        print_url: Prints the URL.

    Raises:
        DatabaseError: If the file cannot be read as a cfpb-etl database.
    """
    datasette = make_datasette(database)
    config = uvicorn.Config(drop_empty_search(datasette.app()), log_level="warning")
    server = _Server(config, datasette.get_database(_NAME))
    with _listen() as listener:
        for number in signals:
            # Uvicorn handles signals only while it runs, and then passes them to these handlers.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, server.handle_exit)
        url = f"http://{_HOST}:{listener.getsockname()[1]}/{_NAME}"
        print_url(f"{url}  (Ctrl-C to stop)")
        if sys.stdout.isatty():
            webbrowser.open(url)
        server.run(sockets=[listener])
    return server.ended_by


class _Server(uvicorn.Server):
    """A server that stops without waiting for slow queries."""

    def __init__(self, config: uvicorn.Config, database: _ReadOnlyDatabase) -> None:
        super().__init__(config)
        self._database = database
        self.ended_by = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.ended_by = self.ended_by or sig
        super().handle_exit(sig, frame)
        self._database.interrupt()


def drop_empty_search(app: ASGIApp) -> ASGIApp:
    """Return an application that drops a search text that has no letters or digits, such as `"`.

    SQLite rejects such a search text, and Datasette would show only SQLite's error.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            kept = [
                (name, value)
                for name, value in query
                if name != "_search" or any(map(str.isalnum, value))
            ]
            if kept != query:
                scope = {**scope, "query_string": urlencode(kept).encode()}
        await app(scope, receive, send)

    return answer


def _listen() -> socket.socket:
    """Return a listening socket, so that early requests wait until the server has started."""
    try:
        return socket.create_server((_HOST, _PORT))
    except OSError:  # the port is in use, so any free port is taken
        return socket.create_server((_HOST, 0))
