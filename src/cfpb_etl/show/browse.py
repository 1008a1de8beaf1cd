"""A database in the browser: Datasette, read-only, told what everything in it means."""

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
from cfpb_etl.show.descriptions import descriptions
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.show.status import read_status
from cfpb_etl.store.sqlite_file import is_immutable, opened_for_reading

if TYPE_CHECKING:
    from types import FrameType

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cfpb_etl.show.status import Status

try:
    from datasette.app import Datasette  # type: ignore[import-untyped]
    from datasette.database import Database  # type: ignore[import-untyped]
    from datasette.plugins import pm  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "inspect") from error

# Where rich is installed, Datasette prints all local variables on every wrong address.
pm.get_plugin("datasette.handle_exception").rich = None

_NAME = "complaints"  # in addresses, whatever the file is called
_HOST, _PORT = "127.0.0.1", 8001  # Datasette's own; another where it is taken
_WHERE_TO_BEGIN = (
    "Begin with the five queries. The table complaint has a row for each complaint,"
    " complaint_change what became another value, load each run; the views count."
)
_SOURCE = {
    "license": "CC0, public domain",
    "license_url": "https://creativecommons.org/publicdomain/zero/1.0/",
    "source": "Consumer Financial Protection Bureau",
    "source_url": "https://www.consumerfinance.gov/data-research/consumer-complaints/",
}
_SETTINGS = {
    # What reads 18 million complaints from an index takes some seconds, where a second is allowed.
    "sql_time_limit_ms": 20_000,
    "facet_time_limit_ms": 3_000,
    "num_sql_threads": 8,  # of three, three such questions would keep every page waiting
    "default_facet_size": 8,
    "suggest_facets": False,  # it would look at every column of every complaint
    "allow_download": False,
    "truncate_cells_html": 300,
}
_SEARCHED = {"fts_table": "narrative_search", "fts_pk": "complaint_id"}
_HIDDEN = {"hidden": True}
_SHOWN: dict[str, dict[str, Any]] = {
    "complaint": _SEARCHED | {"sort_desc": "date_received", "facets": ["product", "company"]},
    "narratives": _SEARCHED,
    "load": {"sort_desc": "load_id"},
    "load_part": _HIDDEN,
    "load_seen": _HIDDEN,
    "line_block": _HIDDEN,
    "line_outdated": _HIDDEN,
}
_COMPARES = ("complaints_by_company", "complaints_by_state", "timeliness_by_company")
# Twenty columns are described before the first row is shown.
_STYLE = "dl.column-descriptions { max-height: 7.5rem; overflow-y: auto }"
_SEARCHES = " The search finds words of narratives, not of other columns."


def metadata(status: Status) -> dict[str, Any]:
    """Return what Datasette shows of a database beside its rows.

    Shaped as in https://docs.datasette.io/en/stable/metadata.html.
    """
    notes = " ".join(word for note in status.notes for word in note)
    tables = {
        name: {
            "description": f"{each.words[:1].upper()}{each.words[1:]}."
            f"{_SEARCHES * ('fts_table' in _SHOWN.get(name, {}))}"
            f"{f' {notes}' * (name in _COMPARES)}",
            "columns": each.columns,
            **_SHOWN.get(name, {}),
        }
        for name, each in descriptions().items()
    }
    queries = {
        each.name: {
            "title": each.words,
            "description": each.note,
            "sql": each.sql.rstrip(";"),
            "hide_sql": False,
        }
        for each in QUESTIONS
    }
    description = f"{notes} {_WHERE_TO_BEGIN} The file is {Path(status.database).name}."
    return {
        "title": status.title,
        "description": description,
        "extra_css_urls": [f"data:text/css,{quote(_STYLE)}"],
        **({} if status.is_made_up else _SOURCE),
        "databases": {_NAME: {"description": description, "tables": tables, "queries": queries}},
    }


class _ReadOnly(Database):  # type: ignore[misc] # it is Any
    """A file that is opened to be read only, whatever it is called.

    Datasette puts a path into an address as it is: a `?` or `#` in it would end the name before
    `mode=ro`, and open another file, to be written.
    """

    def connect(self, write: bool = False) -> sqlite3.Connection:  # noqa: ARG002, FBT001, FBT002
        path = Path(self.path)
        # Datasette is not told: of an immutable file it would hash each of 9 GB for its first page.
        mode = "mode=ro&immutable=1" if is_immutable(path) else "mode=ro"
        address = f"{path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        self._all_file_connections.append(connection)
        return connection

    def interrupt(self) -> None:
        for connection in self._all_file_connections:
            connection.interrupt()


def application(database: Path) -> Datasette:
    """Return Datasette for a database, which it opens to be read only.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be read as one of ours.
    """
    with opened_for_reading(database) as connection:
        status = read_status(connection, database)
    datasette = Datasette([], metadata=metadata(status), settings=_SETTINGS)
    datasette.remove_database("_memory")
    datasette.add_database(_ReadOnly(datasette, path=str(database)), name=_NAME)
    return datasette


def serve_database(database: Path) -> None:
    """Show a database in the browser until Ctrl-C.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be read as one of ours.
    """
    datasette = application(database)
    server = _Server(
        uvicorn.Config(without_empty_search(datasette.app()), log_level="warning"),
        datasette.get_database(_NAME),
    )
    with _listening() as listening:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Before it runs, and after: then it hands a signal on to what was there before.
            signal.signal(number, server.handle_exit)
        url = f"http://{_HOST}:{listening.getsockname()[1]}/{_NAME}"
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        if sys.stdout.isatty():
            webbrowser.open(url)
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that does not wait for a long question when it is to end."""

    def __init__(self, config: uvicorn.Config, database: _ReadOnly) -> None:
        super().__init__(config)
        self._database = database

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._database.interrupt()


def without_empty_search(app: ASGIApp) -> ASGIApp:
    """Return an application that takes a search without a letter for none, such as a lone quote.

    To SQLite it is a mistake, of which Datasette would show no more than that.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            kept = [(name, value) for name, value in asked if name != "_search" or _has_word(value)]
            if kept != asked:
                scope = {**scope, "query_string": urlencode(kept).encode()}
        await app(scope, receive, send)

    return answer


def _has_word(value: str) -> bool:
    return any(each.isalnum() for each in value)


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
