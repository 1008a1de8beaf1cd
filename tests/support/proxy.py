"""A real proxy server: plain requests, tunnels (CONNECT), logins, and SOCKS5.

    with Proxy({"cfpb.test": port}) as proxy:
        requests.get("http://cfpb.test/", proxies={"http": proxy.url})
    assert proxy.asked == ["GET cfpb.test:80"]

The tests' servers are on this computer, to which the program uses no proxy. So the proxy gives them
names that only the proxy can resolve.
"""

from __future__ import annotations

import base64
import selectors
import socket
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


class Server(socketserver.ThreadingTCPServer):
    """A server on a free port of this computer, with one thread for each connection."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.port: int = self.server_address[1]
        self.stopped = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopped.set()
        self.shutdown()
        super().__exit__(kind, error, trace)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: clients may close connections at any time."""


class Proxy(Server):
    """A proxy server.

    Attributes:
        asked: What each client asked for, in order: `CONNECT host:port`, `GET host:port` or
            `SOCKS host:port`.
        headers: The headers of the last request to the proxy, in lower case.
        ports: The port of this computer behind each host name. Other hosts have no server.
        login: `user:password` that clients must send; None for none.
        refusal: The status of every answer to CONNECT, such as `403 Forbidden`; None for tunnels.
        silent: Whether the proxy accepts connections but never answers.
        connections: The number of connections so far.
    """

    def __init__(
        self,
        ports: Mapping[str, int] | None = None,
        *,
        login: str | None = None,
        refusal: str | None = None,
        silent: bool = False,
    ) -> None:
        super().__init__(_Conversation)
        self.ports, self.login = dict(ports or {}), login
        self.refusal, self.silent = refusal, silent
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.connections = 0

    @property
    def url(self) -> str:
        """Return the address of the proxy, with its login."""
        return self.url_with("http")

    def url_with(self, scheme: str) -> str:
        """Return the address of the proxy, with its login, for another scheme."""
        login = f"{self.login}@" if self.login else ""
        return f"{scheme}://{login}127.0.0.1:{self.port}"


class _Conversation(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        client: socket.socket = self.request
        self.server.connections += 1
        if self.server.silent:
            self.server.stopped.wait()
        elif client.recv(1, socket.MSG_PEEK) == b"\x05":
            self._socks(client)
        else:
            self._http(client)

    def _http(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (more := client.recv(65536)):
            head += more
        head, _, body = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(": ") for line in lines)
        self.server.headers = {name.lower(): value for name, _, value in pairs}
        is_tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if is_tunnel else target)
        host, port = parts.hostname or "", parts.port or 80
        self.server.asked.append(f"{method} {host}:{port}")
        if self.server.login is not None:
            login = base64.b64encode(self.server.login.encode()).decode()
            if self.server.headers.get("proxy-authorization") != f"Basic {login}":
                _answer(client, "407 Proxy Authentication Required")
                return
        if is_tunnel and self.server.refusal:
            _answer(client, self.server.refusal)
            return
        upstream = self._connect(host)
        if upstream is None:
            _answer(client, "502 Bad Gateway")
        elif is_tunnel:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relay(client, upstream)
        else:
            path = parts._replace(scheme="", netloc="").geturl() or "/"
            # Each connection has one request, because what follows is passed on as it is.
            own = ("proxy-", "connection:")
            kept = [line for line in lines if not line.lower().startswith(own)]
            kept.append("Connection: close")
            request = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "", ""])
            upstream.sendall(request.encode("latin-1") + body)
            relay(client, upstream)

    def _socks(self, client: socket.socket) -> None:
        methods = _exactly(client, 2)[1]
        _exactly(client, methods)
        if self.server.login is None:
            client.sendall(b"\x05\x00")
        else:
            client.sendall(b"\x05\x02")
            user = _exactly(client, _exactly(client, 2)[1])
            password = _exactly(client, _exactly(client, 1)[0])
            is_right = b":".join([user, password]).decode() == self.server.login
            client.sendall(b"\x01\x00" if is_right else b"\x01\x01")
            if not is_right:
                return
        _, _, _, kind = _exactly(client, 4)
        if kind == 3:  # a name; otherwise an IPv4 address
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        else:
            host = socket.inet_ntoa(_exactly(client, 4))
        port = int.from_bytes(_exactly(client, 2))
        self.server.asked.append(f"SOCKS {host}:{port}")
        upstream = self._connect(host)
        client.sendall(bytes([5, 0 if upstream else 4, 0, 1, 0, 0, 0, 0, 0, 0]))
        if upstream:
            relay(client, upstream)

    def _connect(self, host: str) -> socket.socket | None:
        port = self.server.ports.get(host)
        with suppress(OSError):
            return None if port is None else socket.create_connection(("127.0.0.1", port))
        return None


def _answer(client: socket.socket, status: str) -> None:
    headers = 'Proxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\nConnection: close'
    client.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode())


def _exactly(client: socket.socket, count: int) -> bytes:
    return client.recv(count, socket.MSG_WAITALL)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions until one of the two sockets is closed."""
    with one, other, selectors.DefaultSelector() as ready, suppress(OSError):
        ready.register(one, selectors.EVENT_READ, other)
        ready.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in ready.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                received = source.recv(65536)
                if not received:
                    return
                key.data.sendall(received)
