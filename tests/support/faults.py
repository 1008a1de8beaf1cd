"""Faults of the search API and of the files, between a client and the emulator.

    app = Faulty(Emulator(generate_complaints(100)), {1: server_error(), 2: cut_body()})
    app = Faulty(emulator, first(3, backend_trouble()))
    app = Faulty(emulator, otherwise=forbidden_html())
    app = Faulty(emulator, {1: cut_download(50_000), 2: ignores_range()})

A fault is what happens to one request for a search or a file. Requests are counted from 1.
docs/facts.md, "Errors" and "Access through the edge", lists the faults of the real server.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Parameters = tuple[tuple[str, str], ...]


@dataclass
class Exchange:
    """A request, and everything that is needed to answer the request."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    parameters: Parameters
    before: Parameters
    """The parameters of the request before this one."""

    async def respond(self, response: Response) -> None:
        """Answer the request with this response."""
        await response(self.scope, self.receive, self.send)

    async def answer(self, parameters: Parameters | None = None) -> Response:
        """Return the application's answer to these parameters; by default to the request's."""
        scope = self.scope
        if parameters is not None:
            scope = {**scope, "query_string": urlencode(parameters).encode()}
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, self.receive, keep)
        start, *bodies = messages
        response = Response(b"".join(body["body"] for body in bodies), start["status"])
        response.raw_headers = start["headers"]
        return response


Fault = Callable[[Exchange], Awaitable[None]]


@dataclass
class Faulty:
    """An application with faults. `requests` lists the parameters of all requests in order."""

    app: ASGIApp
    faults: Mapping[int, Fault] = field(default_factory=dict)
    otherwise: Fault | None = None
    requests: list[Parameters] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with a fault if the request has one."""
        parameters = tuple(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        before = self.requests[-1] if self.requests else ()
        self.requests.append(parameters)
        fault = self.faults.get(len(self.requests), self.otherwise)
        if fault is None:
            await self.app(scope, receive, send)
        else:
            await fault(Exchange(self.app, scope, receive, send, parameters, before))


def first(count: int, fault: Fault) -> dict[int, Fault]:
    """Return the same fault for the first `count` requests."""
    return dict.fromkeys(range(1, count + 1), fault)


def throttled(retry_after: int = 56) -> Fault:
    """Answer 429, with the number of seconds to wait."""
    detail = f"Request was throttled. Expected available in {retry_after} seconds."
    return _json(429, {"detail": detail}, {"Retry-After": str(retry_after)})


def backend_trouble() -> Fault:
    """Answer 424, as the real server does for any error of OpenSearch."""
    return _json(424, {"error": "There was an error calling OpenSearch"})


def server_error() -> Fault:
    """Answer 500, as the real server does for any other failure."""
    return _json(500, {"error": "There was a problem retrieving your request"})


def unavailable_html(retry_after: str | None = None) -> Fault:
    """Answer 503, as a proxy in front of the real server does."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return _html(503, "<html><head><title>503 Service Unavailable</title></head></html>", headers)


def forbidden_html() -> Fault:
    """Answer 403, as Akamai does to clients in the cloud."""
    page = (
        "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n"
        "You don't have permission to access"
        ' "http&#58;&#47;&#47;www&#46;consumerfinance&#46;gov&#47;" on this server.<P>\n'
        "Reference&#32;&#35;18&#46;5d1f2e17&#46;1791000000&#46;2a3b4c5d\n"
        "<P>https&#58;&#47;&#47;errors&#46;edgesuite&#46;net&#47;18&#46;5d1f2e17</P>\n"
        "</BODY></HTML>\n"
    )
    return _html(403, page, {"Server": "AkamaiGHost"})


def html_page() -> Fault:
    """Answer 200 with the search page, as the real server does for a wrong path."""
    return _html(200, "<!DOCTYPE html><html><title>Consumer Complaint Database</title></html>")


def invalid_json() -> Fault:
    """Answer 200 with JSON that stops in the middle. The body is complete for HTTP."""
    return _changed(lambda body: body[: len(body) // 2])


def wrong_shape(found: object = ()) -> Fault:
    """Answer 200 with other JSON, by default an empty list."""
    return _changed(lambda _: msgspec.json.encode(found))


def wrong_type(field_name: str = "company", value: object = 7) -> Fault:
    """Answer with a page whose first complaint has a number instead of text."""
    return _with_first_source(lambda source: source.update({field_name: value}))


def hit_without_id() -> Fault:
    """Answer with a page whose first complaint has no id (docs/facts.md, "Complaint ids")."""
    return _with_first_source(lambda source: source.pop("complaint_id"))


def repeated_page() -> Fault:
    """Answer with the page of the previous request."""

    async def fault(exchange: Exchange) -> None:
        await exchange.respond(await exchange.answer(exchange.before))

    return fault


def too_large(limit: int = 1_000) -> Fault:
    """Answer 424 to requests for larger pages, like an index with a smaller limit."""

    async def fault(exchange: Exchange) -> None:
        if int(dict(exchange.parameters).get("size", "25")) > limit:
            await backend_trouble()(exchange)
        else:
            await exchange.respond(await exchange.answer())

    return fault


def cut_body() -> Fault:
    """Cut the body in the middle, so it is shorter than its Content-Length."""
    return _cut(lambda length: length // 2)


def cut_download(after: int) -> Fault:
    """Cut a file, or the requested part of a file, after this many bytes."""
    return _cut(lambda _: after)


def cut_and_changed(change: Callable[[], object], after: int) -> Fault:
    """Cut a file after this many bytes, and then replace the file on the server."""

    async def fault(exchange: Exchange) -> None:
        await cut_download(after)(exchange)
        change()

    return fault


def corrupt_download(at: float = 0.5) -> Fault:
    """Change one byte of the answer, at this share of the body (0 to 1)."""

    async def fault(exchange: Exchange) -> None:
        response = await exchange.answer()
        body = bytearray(response.body)
        body[int(at * len(body))] ^= 0xFF
        response.body = bytes(body)
        await exchange.respond(response)

    return fault


def ignores_range() -> Fault:
    """Answer 200 with the whole file, although only a part was requested."""

    async def fault(exchange: Exchange) -> None:
        headers = [
            (name, value)
            for name, value in exchange.scope["headers"]
            if name not in {b"range", b"if-range"}
        ]
        await exchange.app({**exchange.scope, "headers": headers}, exchange.receive, exchange.send)

    return fault


def stalled(until: threading.Event | None = None) -> Fault:
    """Do not answer until the event is set. Without an event, never answer."""

    async def fault(exchange: Exchange) -> None:
        if until is None:
            await asyncio.Event().wait()
        # The event is set in the test's thread. An asyncio.Event does not support this.
        while until and not until.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await exchange.respond(await exchange.answer())

    return fault


def trickling() -> Fault:
    """Send a body byte by byte, without an end."""

    async def fault(exchange: Exchange) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000000")]
        await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:  # the server cancels this loop when the client has disconnected
            await exchange.send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.005)

    return fault


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> Fault:
    async def fault(exchange: Exchange) -> None:
        content = msgspec.json.encode(body)
        await exchange.respond(Response(content, status, headers, "application/json"))

    return fault


def _html(status: int, page: str, headers: Mapping[str, str] | None = None) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.respond(HTMLResponse(page, status, headers))

    return fault


def _cut(place: Callable[[int], int]) -> Fault:
    async def fault(exchange: Exchange) -> None:
        response = await exchange.answer()
        status, headers = response.status_code, response.raw_headers
        await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        begun = bytes(response.body)[: place(len(response.body))]
        await exchange.send({"type": "http.response.body", "body": begun, "more_body": True})
        # The server closes the connection if the application ends before the rest is sent.

    return fault


def _changed(change: Callable[[bytes], bytes]) -> Fault:
    async def fault(exchange: Exchange) -> None:
        body = bytes((await exchange.answer()).body)
        await exchange.respond(Response(change(body), media_type="application/json"))

    return fault


def _with_first_source(change: Callable[[dict[str, Any]], object]) -> Fault:
    def changed(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        change(page["hits"]["hits"][0]["_source"])
        return msgspec.json.encode(page)

    return _changed(changed)


@dataclass
class Delayed:
    """An application that delays each answer by this many seconds, like CFPB's server."""

    app: ASGIApp
    seconds: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive the request at once, and delay the answer."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        await asyncio.sleep(self.seconds)
        for message in messages:
            await send(message)
