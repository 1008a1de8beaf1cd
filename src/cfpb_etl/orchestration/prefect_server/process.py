"""The process of Prefect's temporary server, which `server.py` starts.

If the server fails, the last line of its output is the reason.
"""

from __future__ import annotations

import gc
import sqlite3
import sys
import time
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn

from cfpb_etl.child_process import exit_with_parent
from cfpb_etl.orchestration.prefect_server.prefect_database import create_database
from cfpb_etl.store.errors import DatabaseError, LoadRunningError
from cfpb_etl.store.lock import lock_for_loading

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI

_LOOK_SECONDS = 0.5


class _Server(uvicorn.Server):
    """Serves Prefect's API after its database is set up.

    uvicorn would set it up too, but it would print a traceback of many lines if this fails.
    """

    def __init__(self, app: FastAPI, port: int, home: Path) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
        super().__init__(config)
        self._app = app
        self._home = home
        self._running = AsyncExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Set up the database, start Prefect's services, and open the port."""
        with _alone_in(self._home):
            create_database(self._home / "prefect.db")
            await self._running.enter_async_context(self._app.router.lifespan_context(self._app))
        await super().startup(sockets)
        # Nearly all objects live as long as the server, so the collector need not look at them.
        gc.freeze()
        gc.enable()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, and then stop the services, which store what they have received."""
        await super().shutdown(sockets)
        await self._running.aclose()


@contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Wait until no other server sets up Prefect's database.

    Prefect's migrations are not made for two processes at once: the second one fails because a
    table exists already.
    """
    with suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            lock = lock_for_loading(home / "prefect.db")
        except LoadRunningError:
            sys.stderr.write("\n")  # shows the parent process that this one is not stuck
            time.sleep(_LOOK_SECONDS)
        except (DatabaseError, sqlite3.Error):  # a disk without locks; Prefect says what is wrong
            yield
            return
        else:
            with closing(lock):
                yield
            return


def _serve(port: int) -> None:
    from prefect.server.api.server import create_app  # noqa: PLC0415 - it takes 2.3 s
    from prefect.settings import get_current_settings  # noqa: PLC0415 - as above

    # Without arguments, because Prefect's services make the same call, and would get a second app.
    app = create_app()
    _Server(app, port, get_current_settings().home).run()


if __name__ == "__main__":
    exit_with_parent()
    gc.disable()  # while Prefect makes its objects, nearly all of them for ever
    try:
        _serve(int(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent quotes it
        first_line = str(error).partition("\n")[0]
        sys.exit(f"{type(error).__name__}: {first_line}")
