"""A server of one file, whose answers can fail.

    server.faults = [cut(50_000), without_headers("range")]

Each fault changes the answer to one request, in order.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import Response, StreamingResponse
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Fault = Callable[[ASGIApp], ASGIApp]

NAME = "complaints.csv.zip"
BODY = hashlib.shake_256(b"complaints").digest(1_000_000)
NEWER_BODY = hashlib.shake_256(b"more complaints").digest(1_100_000)
MODIFIED = 1_791_364_560  # 2026-10-07 09:16 GMT
HTTP_DATE = "Wed, 07 Oct 2026 09:16:00 GMT"


@dataclass
class FileServer:
    """A server of one file.

    Attributes:
        folder: The folder of the file.
        faults: The faults of the next requests, one for each request.
        requests: The headers of each request.
        url: The URL of the file.
    """

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with a fault if one is left."""
        self.requests.append({name.decode(): value.decode() for name, value in scope["headers"]})
        app: ASGIApp = StaticFiles(directory=self.folder)
        if self.faults:
            app = self.faults.pop(0)(app)
        await app(scope, receive, send)

    def publish(self, body: bytes, modified: int = MODIFIED) -> None:
        """Replace the file on the server."""
        (self.folder / NAME).write_bytes(body)
        os.utime(self.folder / NAME, (modified, modified))

    @property
    def conditions(self) -> list[dict[str, str]]:
        """Return the conditional headers and the range of each request."""
        conditional = ("range", "if-")
        return [
            {name: value for name, value in headers.items() if name.startswith(conditional)}
            for headers in self.requests
        ]


class CutError(Exception):
    """Raised in the server to leave an answer incomplete."""


def answering(response: Response) -> Fault:
    """Answer the request with this response."""
    return lambda _app: response


def status(code: int, **headers: str) -> Fault:
    """Answer with a status and a few words."""
    return answering(Response(b"so it is", code, headers))


def cut(after: int) -> Fault:
    """Close the connection after this many bytes of the body."""
    return changed(cut_after=after)


def with_headers(**headers: str | None) -> Fault:
    """Answer with these headers; a value of None removes a header."""
    return changed(headers={name.replace("_", "-"): text for name, text in headers.items()})


def changed(*, headers: dict[str, str | None] | None = None, cut_after: int | None = None) -> Fault:
    """Change an answer while the server sends it."""

    def fault(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            left = cut_after

            async def send_changed(message: Message) -> None:
                nonlocal left
                if message["type"] == "http.response.start":
                    new_headers = MutableHeaders(raw=message["headers"])
                    for name, text in (headers or {}).items():
                        del new_headers[name]
                        if text is not None:
                            new_headers[name] = text
                elif left is not None:
                    message = {**message, "body": message["body"][:left], "more_body": True}
                    left -= len(message["body"])
                await send(message)
                if left == 0:
                    raise CutError

            with suppress(CutError):
                await app(scope, receive, send_changed)

        return answer

    return fault


def ignoring(*names: str) -> Fault:
    """Ignore these headers of the request."""

    def fault(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            headers = [each for each in scope["headers"] if each[0].decode() not in names]
            await app({**scope, "headers": headers}, receive, send)

        return answer

    return fault


def without_length(body: bytes = BODY, **headers: str) -> Fault:
    """Send a body without announcing its length."""

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    return lambda _app: StreamingResponse(chunks(), headers=headers)


def piece(start: int, body: bytes, total: int | str, code: int = 206, **headers: str) -> Fault:
    """Answer with a piece of a file."""
    content_range = f"bytes {start}-{start + len(body) - 1}/{total}"
    return answering(Response(body, code, {"Content-Range": content_range, **headers}))
