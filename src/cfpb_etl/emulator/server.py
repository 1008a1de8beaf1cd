"""Serves an ASGI application on the loopback interface, in a thread of this process."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp

from cfpb_etl.emulator.application import SEARCH_PATH


@contextmanager
def serve(app: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Serve an application on 127.0.0.1, and yield the URL of its search.

    Port 0 picks a free port. On exit the server stops at once, even with open connections or
    unanswered requests. The server prints nothing and sets no signal handlers, so Ctrl-C interrupts
    the main thread.

    Raises:
        OSError: If the port is in use.
    """
    with _listener(port) as listener:
        server = _PromptServer(app)
        thread = Thread(target=server.run, args=[[listener]], name="emulator", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}{SEARCH_PATH}"
        finally:
            server.stop()
            thread.join()


def _listener(port: int) -> socket.socket:
    # Nagle's algorithm delays each small answer by 40 ms. asyncio disables it only if the socket
    # has a protocol, and socket.create_server sets no protocol.
    with socket.create_server(("127.0.0.1", port), backlog=128) as plain:
        return socket.socket(plain.family, plain.type, socket.IPPROTO_TCP, fileno=plain.detach())


class _PromptServer(uvicorn.Server):
    """A uvicorn server that stops at once when an event is set.

    Uvicorn's own server checks only ten times a second whether it must stop, and then waits for all
    connections and requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
        )
        config.load()
        super().__init__(config)
        self._running = Event()
        self._stop = asyncio.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Run an event loop that ends together with the server."""
        # On Windows the default loop has no remove_reader, which `shutdown` calls.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self.serve(sockets))

    def stop(self) -> None:
        """Stop the server. Any thread can call this method."""
        self._running.wait()
        self._loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        """Serve until `stop` is called."""
        self._loop = asyncio.get_running_loop()
        self._running.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Abort the connections, then cancel the unanswered requests."""
        # asyncio needs three turns of its loop to set up an accepted connection. If the server
        # closes earlier, asyncio leaks the socket (Python 3.11).
        for listener in sockets or []:
            self._loop.remove_reader(listener)
        await _turns(3)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        unanswered = list(self.server_state.tasks)
        # In this turn the loop reports the closed connections, so no request writes to them.
        await _turns(1)
        for task in unanswered:
            task.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
