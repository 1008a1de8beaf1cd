"""A time limit for answers whose bytes arrive one by one.

The read timeout of requests and urllib3 is only for the time between two bytes (docs/facts.md,
"Answers over HTTP").
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool


class TooSlow(requests.Timeout):
    """Raised when an answer is not complete within its time limit."""


class OneConnection(HTTPAdapter):
    """Makes the connection of one request, which can be shut down before the answer has begun.

    Attributes:
        is_open: Whether the connection stands, with its tunnel if there is a proxy and TLS.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False
        self._connection: HTTPConnection | None = None

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> HTTPConnectionPool:  # noqa: ANN401 - as in requests
        """Return a pool whose connection is remembered (an extension point of requests)."""
        got = super().get_connection_with_tls_context(*args, **options)
        pool = cast("HTTPConnectionPool", got)
        connection_of = type(pool).ConnectionCls

        def connect(**options: Any) -> HTTPConnection:  # noqa: ANN401 - as in urllib3
            made = self._connection = cast("HTTPConnection", connection_of(**options))

            def note_open() -> None:
                connection_of.connect(made)  # as in urllib3
                self.is_open = True

            made.connect = note_open  # type: ignore[method-assign]
            return made

        pool.ConnectionCls = connect  # type: ignore[assignment]  # urllib3 only calls it
        return pool

    def shut_down(self) -> None:
        """End the connection. Whoever reads from it gets an error or the end of the answer."""
        transport = getattr(self._connection, "sock", None)  # None before the connection stands
        transport = getattr(transport, "socket", transport)  # TLS within TLS, to a proxy
        if transport is not None:
            # The method of SSLSocket would let the other thread read on without TLS.
            socket.socket.shutdown(transport, socket.SHUT_RDWR)


@contextmanager
def time_limit(seconds: float, shut_down: Callable[[], None]) -> Iterator[None]:
    """End an answer that takes too long.

    Args:
        seconds: The time after which the answer is ended.
        shut_down: Ends the answer. It is called in another thread.

    Raises:
        TooSlow: If the time has passed. This error replaces any error of the ended answer.
    """
    expired = threading.Event()

    def end() -> None:
        expired.set()
        # The answer may have ended already. While the answer is being closed, its parts are None.
        with suppress(RuntimeError, ValueError, TypeError, AttributeError, OSError):
            shut_down()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        _stop(timer)
        if not expired.is_set():
            raise
    finally:
        _stop(timer)
    if expired.is_set():
        raise TooSlow


def _stop(timer: threading.Timer) -> None:
    timer.cancel()
    timer.join()  # if the time has just passed, the answer is ended before anybody reads on
