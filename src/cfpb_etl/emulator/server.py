"""Serving an ASGI application on the loopback interface, from a thread of this process."""

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
    """Serve an application on 127.0.0.1 and yield the URL of its search; port 0 is a free one.

    Leaving it ends the server at once, whatever is still open or unanswered. It writes nothing to
    the screen and has no signal handlers: Ctrl-C stays with the main thread.
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
    # asyncio switches off Nagle's delay, 40 ms for each small answer, only where the protocol is
    # named, and socket.create_server does not name it.
    with socket.create_server(("127.0.0.1", port), backlog=128) as unnamed:
        return socket.socket(
            unnamed.family, unnamed.type, socket.IPPROTO_TCP, fileno=unnamed.detach()
        )


class _PromptServer(uvicorn.Server):
    """uvicorn, but it waits for a word instead of looking ten times a second, and never lingers.

    Its own shutdown sleeps 0.1 s, then waits for every connection and every answer to end.
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
        """Run an event loop that ends with the server."""
        # Of this kind also on Windows: `shutdown` wants its remove_reader.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self.serve(sockets))

    def stop(self) -> None:
        """End the server; may be called from any thread."""
        self._running.wait()
        self._loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        self._loop = asyncio.get_running_loop()
        self._running.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drop the connections, then the requests that are being answered."""
        # asyncio takes three turns of its loop to make a connection of what it has accepted, and
        # leaves its socket open if the server is closed before that (Python 3.11).
        for listener in sockets or []:
            self._loop.remove_reader(listener)
        await _turns(3)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        unanswered = list(self.server_state.tasks)
        # The connections learn that they are lost first, so that nothing is written to them.
        await _turns(1)
        for task in unanswered:
            task.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
