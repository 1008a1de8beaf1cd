r"""A server that sends bytes as they are, to answer in ways that no HTTP library would.

    with serve_bytes(b"HTTP/1.0 200 OK\r\n\r\n{") as server:
        requests.get(server.url)

Each connection gets one answer, and then it is closed.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = bytes | Callable[[socket.socket], None]


@dataclass
class RawServer:
    """A server of raw answers.

    Attributes:
        url: The server's address.
        requests: The head of each request.
    """

    url: str
    requests: list[str] = field(default_factory=list)


def answer(
    body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json"
) -> bytes:
    """Return an answer without a length, which ends when the connection is closed."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def framed(
    body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json"
) -> bytes:
    """Return an answer that announces its length."""
    return answer(body, f"Content-Length: {len(body)}", *headers, status=status, kind=kind)


def chunked(
    body: bytes, *headers: str, kind: str = "application/json", end: bytes = b"0\r\n\r\n"
) -> bytes:
    """Return an answer whose body is one chunk. Without the `end`, the answer is cut."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    return answer(chunk + end, "Transfer-Encoding: chunked", *headers, kind=kind)


def trickle(
    start: bytes, byte: bytes = b"x", seconds: float = 0.005
) -> Callable[[socket.socket], None]:
    """Send the start of an answer, and then one byte after another without an end."""

    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        stopped = threading.Event()
        while not stopped.wait(seconds):  # sending fails when the client has disconnected
            connection.sendall(byte)

    return send


@contextmanager
def serve_bytes(*answers: Answer) -> Iterator[RawServer]:
    """Serve the answers in order. The last answer is repeated."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}/")

        def serve() -> None:
            waiting = list(answers)
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                threading.Thread(
                    target=_send, args=(connection, reply, server), daemon=True
                ).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server
        finally:
            with suppress(OSError):  # wakes `accept`
                listener.shutdown(socket.SHUT_RDWR)


def _send(connection: socket.socket, reply: Answer, server: RawServer) -> None:
    with connection, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                return
            head += piece
        server.requests.append(head.decode("latin-1"))
        if isinstance(reply, bytes):
            connection.sendall(reply)
        else:
            reply(connection)
