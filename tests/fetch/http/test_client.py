"""Each way in which a request to the search API can fail, over real HTTP."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

import pytest
from starlette.responses import RedirectResponse, Response

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.fetch.http import client, errors
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.parse.errors import InvalidHitError
from support import faults
from support.faults import Faulty
from support.paging import COMPLAINTS, fetch_all, fetch_pages

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


@pytest.fixture
def emulator() -> Emulator:
    """Return an emulator of 2,500 complaints."""
    return Emulator(COMPLAINTS)


SITUATIONS = [
    (faults.throttled(2), errors.ThrottledError, 429, "throttled"),
    (faults.backend_trouble(), errors.SearchBackendError, 424, "OpenSearch"),
    (faults.server_error(), errors.ServerFailureError, 500, "problem"),
    (faults.unavailable_html(), errors.ServerFailureError, 503, "503 Service Unavailable"),
    (faults.forbidden_html(), errors.AccessDeniedError, 403, "Access Denied"),
    (faults.html_page(), errors.WrongContentError, 200, "<!DOCTYPE html>"),
    (faults.invalid_json(), errors.CutBodyError, None, '{"took":'),
    (faults.wrong_shape(), errors.UnexpectedBodyError, None, ""),
    (faults.wrong_shape({"timed_out": True}), errors.PartialAnswerError, None, ""),
    (faults.wrong_shape({"_shards": {"failed": 2}}), errors.PartialAnswerError, None, ""),
    (faults.cut_body(), errors.CutBodyError, None, ""),
]


@pytest.mark.parametrize(("fault", "error", "status", "body_start"), SITUATIONS)
def test_each_situation_has_its_error(
    emulator: Emulator,
    fault: faults.Fault,
    error: type[errors.ServerError],
    status: int | None,
    body_start: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each has its class, with the address, the status and the beginning of the body."""
    monkeypatch.setattr(
        "cfpb_etl.fetch.http.rate_limit.RateLimiter.pause", lambda _self, _wait: None
    )

    with pytest.raises(error) as failed:
        fetch_pages(Faulty(emulator, otherwise=fault), limit=10)

    assert type(failed.value) is error
    assert failed.value.status == status
    assert body_start in failed.value.body_start
    assert "size=10&sort=created_date_desc" in failed.value.url
    assert str(failed.value).count("\n") == 0
    assert len(failed.value.body_start) <= 120


def page_like(
    hits: list[object] | None,
    last_indexed: object = "2024-11-06T12:00:00-05:00",
    matching: object = 99,
    last_updated: object = "2024-11-05T12:00:00-05:00",
) -> object:
    """Return a page as in docs/facts.md, with these hits."""
    return {
        "hits": {"total": {"value": matching, "relation": "eq"}, "hits": hits},
        "_meta": {"last_indexed": last_indexed, "last_updated": last_updated},
    }


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (page_like([], last_indexed=None), "date in _meta is missing"),
        (page_like([], last_indexed="yesterday"), "date in _meta is not a date: 'yesterday'"),
        (page_like([], last_updated=None), "date in _meta is missing"),
        (page_like([], last_updated="2024-02-30"), "date in _meta is .*day"),
        ({"hits": {"total": {"value": 0}, "hits": []}, "_meta": {}}, "date in _meta is missing"),
        ({"hits": {"total": {"value": 0}, "hits": []}}, "date in _meta is missing"),
        ({"hits": {"total": 9, "hits": []}}, "hits.total.value"),
        (page_like(None, matching=0), "hits.hits"),
        (page_like([{"_source": {}}]), "sort"),
        (page_like([], matching=-1), "hits.total.value"),
        (page_like([{"sort": [1, "7"]}] * 2, matching=1), "hits.total.value"),
        (page_like([], matching=2**63), "hits.total.value"),
        (page_like(["complaint"]), "sort"),
        (page_like([{"sort": [1.5, "7"]}]), "sort"),
        (page_like([{"sort": [1, "7"]}] * 11), "11 hits where 10"),
    ],
)
def test_a_body_of_another_shape(emulator: Emulator, body: object, named: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(errors.UnexpectedBodyError, match=named):
        fetch_pages(Faulty(emulator, otherwise=faults.wrong_shape(body)), limit=10)


def test_an_unexpected_status() -> None:
    """The error has the status."""

    async def teapot(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("short and stout", 418)(scope, receive, send)

    with pytest.raises(errors.UnexpectedStatusError, match="418"):
        fetch_pages(teapot)


def test_a_query_that_the_server_refuses(emulator: Emulator) -> None:
    """The error of a 400 has the server's message, here about the size."""
    with pytest.raises(errors.RefusedQueryError) as refused:
        fetch_pages(emulator, limit=100_001, page_size=100_001)

    assert refused.value.status == 400
    assert "less than or equal to 100000" in str(refused.value)


def test_a_host_name_that_is_not_valid() -> None:
    """It is an error like a host that does not exist."""
    with pytest.raises(errors.UnreachableError, match="label"):
        list(fetch_all(SearchApi(url="http://a..b/", rate_limit=None)))


@pytest.mark.parametrize("kind", ["application/jsonp", "", "text/json"])
def test_only_json_is_json(kind: str) -> None:
    """Similar content types are not accepted."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"{}", headers={"Content-Type": kind})(scope, receive, send)

    with pytest.raises(errors.WrongContentError):
        fetch_pages(app)


def test_an_address_without_the_last_slash(emulator: Emulator) -> None:
    """The server sends a web page, and the error names the slash."""
    with (
        serve(emulator) as url,
        pytest.raises(errors.WrongContentError, match="last slash included"),
    ):
        list(fetch_all(SearchApi(url=url.rstrip("/"), rate_limit=None)))


def test_a_port_without_a_server() -> None:
    """The error says why the connection failed."""
    with pytest.raises(errors.UnreachableError, match=r"Connection refused.*--source sample"):
        list(fetch_all(SearchApi(url="http://127.0.0.1:1/", rate_limit=None)))


def test_a_server_that_hangs_up() -> None:
    """The error has the reason in words, without nested exceptions."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        threading.Thread(target=server.handle_request).start()
        source = SearchApi(url=f"http://127.0.0.1:{server.server_address[1]}/", rate_limit=None)
        with pytest.raises(errors.UnreachableError) as hung_up:
            list(fetch_all(source))

    assert hung_up.value.detail == "Remote end closed connection without response"


def test_a_redirect_is_not_followed() -> None:
    """The error has the location. Following it would read a body of any size."""

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        await RedirectResponse("/elsewhere")(scope, receive, send)

    with pytest.raises(errors.UnexpectedStatusError, match="307: /elsewhere"):
        fetch_pages(elsewhere)


def test_a_server_that_does_not_answer(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the read timeout it is an error."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.05)

    with pytest.raises(errors.UnreachableError, match=r"within 0\.05 s"):
        fetch_pages(Faulty(emulator, otherwise=faults.stalled()))


def test_an_answer_that_does_not_end(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the maximum time for an answer it is an error, even while bytes arrive."""
    monkeypatch.setattr(client, "MAX_ANSWER_SECONDS", 0.2)

    with pytest.raises(errors.UnreachableError, match=r"not complete within 0\.2 s"):
        fetch_pages(Faulty(emulator, otherwise=faults.trickling()))


def test_a_body_that_is_too_large(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is rejected while it is received."""
    monkeypatch.setattr(client, "MAX_BODY", 100_000)

    with pytest.raises(errors.TooLargeError) as refused:
        fetch_pages(emulator)

    assert refused.value.status == 200


@pytest.mark.parametrize("limit", [None, 2_000])
def test_a_repeated_page_is_an_error(emulator: Emulator, limit: int | None) -> None:
    """Paging stops with an error, in either order."""
    with pytest.raises(errors.NoAdvanceError):
        fetch_pages(Faulty(emulator, {2: faults.repeated_page()}), limit=limit, page_size=500)


def test_a_page_in_the_wrong_order_is_an_error() -> None:
    """The last complaint must not come before the first."""
    backwards = page_like([{"sort": [2, "7"]}, {"sort": [1, "8"]}])
    with pytest.raises(errors.NoAdvanceError):
        fetch_pages(Faulty(Emulator(COMPLAINTS), otherwise=faults.wrong_shape(backwards)))


@pytest.mark.parametrize(
    ("fault", "field"),
    [(faults.hit_without_id(), "complaint_id"), (faults.wrong_type("state", 7), "state")],
)
def test_a_hit_that_is_not_a_complaint(emulator: Emulator, fault: faults.Fault, field: str) -> None:
    """It is found when the page is parsed; the error has its place and field."""
    (page,) = fetch_pages(Faulty(emulator, otherwise=fault), limit=10)

    with pytest.raises(InvalidHitError) as invalid:
        parse_part(page)

    assert (invalid.value.hit, invalid.value.field) == (1, field)
    assert invalid.value.part == "page 1, 10 complaints"


def test_an_unknown_field_is_reported() -> None:
    """A name that a newer release sends is reported."""
    newer = [{**complaint, "event_tag": "storm"} for complaint in COMPLAINTS[:3]]
    (page,) = fetch_pages(Emulator(newer))

    assert parse_part(page).unknown_columns == {"event_tag"}
