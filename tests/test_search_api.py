"""Tests of the client, over real HTTP against the emulator and its faults."""

from __future__ import annotations

import pickle
import socketserver
import threading
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import RedirectResponse, Response

import faults
from cfpb_etl import __version__, errors, search_api
from cfpb_etl.emulator import Emulator, made_complaints, serve
from cfpb_etl.pace import Allowance
from cfpb_etl.query import Query
from cfpb_etl.search_api import Page, SearchApi
from faults import Faulty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cfpb_etl.source import RawPart

COMPLAINTS = made_complaints(2_500, era="2024")


@pytest.fixture
def emulator() -> Emulator:
    """Return an emulator of 2,500 complaints."""
    return Emulator(COMPLAINTS)


def walked(source: SearchApi) -> Iterator[RawPart]:
    """Fetch page after page, as the flow does."""
    part: Any = source.parts()[0]
    while part is not None:
        raw = source.fetch(part)
        yield raw
        part = raw.following


def walk(app: ASGIApp, **asked: Any) -> list[RawPart]:
    """Walk all pages of what is asked of an application."""
    with serve(app) as url:
        return list(walked(SearchApi(**{"url": url, "allowance": None, **asked})))


def ids(pages: list[RawPart]) -> list[int]:
    """Return the ids on pages, in their order."""
    return [complaint.complaint_id for raw in pages for complaint in raw.parsed().complaints()]


# --- what is asked --------------------------------------------------------------------------


def test_a_request_asks_for_what_the_contract_wants(emulator: Emulator) -> None:
    """A request carries the filters, no aggregations and no highlight, and an honest name."""
    query = Query(since="2024-01-01", state=("CA", "TX"), product=("Mortgage•FHA mortgage",))
    walk(emulator, query=query, limit=10)

    (request,) = emulator.requests
    assert request.parameters == (
        ("date_received_min", "2024-01-01"),
        ("state", "CA"),
        ("state", "TX"),
        ("product", "Mortgage•FHA mortgage"),
        ("size", "10"),
        ("sort", "created_date_desc"),
        ("no_aggs", "true"),
        ("no_highlight", "true"),
    )
    assert request.headers["user-agent"].startswith(f"cfpb-etl/{__version__} ")


@pytest.mark.parametrize("page_size", [777, 500, 2_500, 10_000])
def test_a_walk_meets_every_complaint_once(emulator: Emulator, page_size: int) -> None:
    """Without a limit a walk meets every complaint once, oldest first, whatever the page size."""
    met = ids(walk(emulator, page_size=page_size))

    assert sorted(met) == sorted(int(c["complaint_id"]) for c in COMPLAINTS)
    assert dict(emulator.requests[0].parameters)["sort"] == "created_date_asc"


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [(1, [1]), (777, [777]), (1_000, [777, 223]), (1_554, [777, 777]), (9_999, [777] * 4)],
)
def test_a_limit_takes_the_newest(emulator: Emulator, limit: int, sizes: list[int]) -> None:
    """A limit takes so many of the newest, and never asks for more."""
    met = ids(walk(emulator, limit=limit, page_size=777))

    everything = ids(walk(Emulator(COMPLAINTS)))
    assert met == everything[::-1][:limit]
    asked = [int(dict(request.parameters)["size"]) for request in emulator.requests]
    assert asked == sizes


def test_filters_narrow_the_walk(emulator: Emulator) -> None:
    """What comes is what the filters say."""
    query = Query(state=("CA",), since="2024-01-01", until="2024-06-30")
    expected = {
        int(complaint["complaint_id"])
        for complaint in COMPLAINTS
        if complaint["state"] == "CA"
        and "2024-01-01" <= str(complaint["date_received"])[:10] <= "2024-06-30"
    }

    assert len(expected) > 5
    assert set(ids(walk(emulator, query=query, page_size=10))) == expected


def test_a_query_that_matches_nothing_is_an_empty_page(emulator: Emulator) -> None:
    """Nothing that matches is no error."""
    (page,) = walk(emulator, query=Query(until="2011-01-01"))

    assert (page.rows, page.matching, page.following) == (0, 0, None)
    assert page.as_of == "2024-11-06"


def test_a_page_says_what_it_is(emulator: Emulator) -> None:
    """A page carries its name, its counts, the data's day and its columns."""
    first, *_ = walk(emulator, page_size=1_000)

    assert str(first) == "page 1, 1,000 complaints"
    assert (first.rows, first.matching, first.as_of) == (1_000, 2_500, "2024-11-06")
    parsed = first.parsed()
    assert "complaint_what_happened" in parsed.columns
    assert "consumer_disputed" not in parsed.columns
    assert parsed.unknown == set()


def test_what_travels_is_picklable(emulator: Emulator) -> None:
    """Source, part and what came survive a trip to another process."""
    source = SearchApi(Query(state=("CA",)), 10)
    assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - our own

    first, *_ = walk(emulator, page_size=1_000)
    copy: RawPart = pickle.loads(pickle.dumps(first))  # noqa: S301 - our own
    assert ids([copy]) == ids([first])


# --- the server's pace and window -----------------------------------------------------------


def test_the_allowance_is_kept() -> None:
    """A client that keeps to what the server allows is never refused."""
    emulator = Emulator(COMPLAINTS, throttle=4, window_seconds=0.3)
    # The client's window is the longer: on a busy machine a request may arrive late, the next not.
    walk(emulator, page_size=250, allowance=Allowance(4, 0.6))

    assert len(emulator.requests) == 11
    assert {request.status for request in emulator.requests} == {200}


def test_retry_after_is_waited_for() -> None:
    """After a 429 nobody gets through before the server's time."""
    emulator = Emulator(COMPLAINTS, throttle=1, window_seconds=0.8)
    with serve(emulator) as url:
        source = SearchApi(limit=10, url=url, allowance=None)
        first = source.parts()[0]
        source.fetch(first)
        with pytest.raises(errors.ThrottledError) as refused:
            source.fetch(first)
        source.fetch(first)

    assert refused.value.retry_after == 1
    assert [request.status for request in emulator.requests] == [200, 429, 200]
    assert emulator.requests[2].at - emulator.requests[1].at >= 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("", 60), ("soon", 60), ("-1", 60), ("9999", 3600)]
)
def test_an_odd_retry_after_is_the_whole_window(
    header: str, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Retry-After that is no whole number of seconds waits for the whole window."""
    held: list[float] = []
    monkeypatch.setattr("cfpb_etl.pace.Pace.hold", lambda _self, wait: held.append(wait))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"{}", 429, {"Retry-After": header})(scope, receive, send)

    with pytest.raises(errors.ThrottledError):
        walk(app)

    assert held == [seconds]


def test_a_smaller_window_is_found_on_the_first_page(emulator: Emulator) -> None:
    """A 424 on a first page of 10,000 is tried with 1,000, and the walk goes on with that."""
    faulty = Faulty(emulator, otherwise=faults.too_large(1_000))
    assert len(ids(walk(faulty))) == 2_500

    sizes = [dict(parameters)["size"] for parameters in faulty.requests]
    assert sizes == ["10000", "1000", "1000", "1000"]


def test_a_424_later_is_not_about_the_window(emulator: Emulator) -> None:
    """A 424 on a later page is an error of its own."""
    faulty = Faulty(emulator, {2: faults.backend_trouble()})
    with pytest.raises(errors.SearchBackendError):
        walk(faulty, page_size=1_001)

    assert len(faulty.requests) == 2


# --- what can go wrong ----------------------------------------------------------------------

SITUATIONS = [
    (faults.throttled(2), errors.ThrottledError, 429, "throttled"),
    (faults.backend_trouble(), errors.SearchBackendError, 424, "OpenSearch"),
    (faults.server_error(), errors.ServerFailureError, 500, "problem"),
    (faults.unavailable_html(), errors.ServerFailureError, 503, "503 Service Unavailable"),
    (faults.forbidden_html(), errors.AccessDeniedError, 403, "Access Denied"),
    (faults.html_page(), errors.NotJsonError, 200, "<!DOCTYPE html>"),
    (faults.invalid_json(), errors.UnexpectedBodyError, None, '{"took":'),
    (faults.wrong_shape(), errors.UnexpectedBodyError, None, ""),
    (faults.wrong_shape({"timed_out": True}), errors.PartialAnswerError, None, ""),
    (faults.wrong_shape({"_shards": {"failed": 2}}), errors.PartialAnswerError, None, ""),
    (faults.cut_body(), errors.CutBodyError, None, ""),
]


@pytest.mark.parametrize(("fault", "error", "status", "beginning"), SITUATIONS)
def test_each_situation_has_its_error(
    emulator: Emulator,
    fault: faults.Fault,
    error: type[errors.SearchApiError],
    status: int | None,
    beginning: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every way to fail has its class, with URL, status and the beginning of the body."""
    monkeypatch.setattr("cfpb_etl.pace.Pace.hold", lambda _self, _wait: None)

    with pytest.raises(error) as failed:
        walk(Faulty(emulator, otherwise=fault), limit=10)

    assert type(failed.value) is error
    assert failed.value.status == status
    assert beginning in failed.value.body_start
    assert "size=10&sort=created_date_desc" in failed.value.url
    assert str(failed.value).count("\n") == 0
    assert len(failed.value.body_start) <= 120


def page_like(
    hits: list[object],
    last_indexed: object = "2024-11-06T12:00:00-05:00",
    matching: object = 99,
) -> object:
    """Return what the contract says a page is, with these hits."""
    return {
        "hits": {"total": {"value": matching, "relation": "eq"}, "hits": hits},
        "_meta": {"last_indexed": last_indexed},
    }


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (page_like([], last_indexed=None), "_meta.last_indexed"),
        (page_like([], last_indexed="yesterday"), "_meta.last_indexed"),
        ({"hits": {"total": 9, "hits": []}}, "hits.total.value"),
        (page_like([{"_source": {}}]), "sort"),
        (page_like([], matching=-1), "hits.total.value"),
        (page_like([{"sort": [1, "7"]}] * 2, matching=1), "hits.total.value"),
        (page_like([], matching=2**63), "hits.total.value"),
        (page_like(["complaint"]), "sort"),
        (page_like([{"sort": [1.5, "7"]}]), "sort"),
        (page_like([{"sort": [1, "7"]}] * 11), "11 hits where 10"),
    ],
)
def test_a_body_of_another_shape_is_named(emulator: Emulator, body: object, named: str) -> None:
    """A body that is not as the contract says is an error that says where."""
    with pytest.raises(errors.UnexpectedBodyError, match=named):
        walk(Faulty(emulator, otherwise=faults.wrong_shape(body)), limit=10)


def test_a_status_that_nobody_knows() -> None:
    """A status beyond the contract is named."""

    async def teapot(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("short and stout", 418)(scope, receive, send)

    with pytest.raises(errors.UnexpectedStatusError, match="418"):
        walk(teapot)


def test_a_query_that_the_server_refuses(emulator: Emulator) -> None:
    """A 400 carries the server's own words: here of a size beyond its validation."""
    with pytest.raises(errors.RefusedQueryError) as refused:
        walk(emulator, limit=100_001, page_size=100_001)

    assert refused.value.status == 400
    assert "less than or equal to 100000" in str(refused.value)


def test_a_host_that_can_have_no_address() -> None:
    """A host name that cannot be one is told like one that does not resolve."""
    with pytest.raises(errors.UnreachableError, match="label"):
        list(walked(SearchApi(url="http://a..b/", allowance=None)))


@pytest.mark.parametrize("kind", ["application/jsonp", "", "text/json"])
def test_only_json_is_json(kind: str) -> None:
    """What resembles JSON by its name is not taken for it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"{}", headers={"Content-Type": kind})(scope, receive, send)

    with pytest.raises(errors.NotJsonError):
        walk(app)


def test_a_wrong_address_sends_the_website(emulator: Emulator) -> None:
    """Without its trailing slash the address sends a web page, and the error says so."""
    with serve(emulator) as url, pytest.raises(errors.NotJsonError, match="last slash included"):
        list(walked(SearchApi(url=url.rstrip("/"), allowance=None)))


def test_an_address_where_nobody_listens() -> None:
    """No connection is worth a retry, and says why."""
    with pytest.raises(errors.UnreachableError, match=r"Connection refused.*--source sample"):
        list(walked(SearchApi(url="http://127.0.0.1:1/", allowance=None)))


def test_a_server_that_hangs_up() -> None:
    """A connection that ends before an answer says so in words, not in nested exceptions."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        threading.Thread(target=server.handle_request).start()
        source = SearchApi(url=f"http://127.0.0.1:{server.server_address[1]}/", allowance=None)
        with pytest.raises(errors.UnreachableError) as hung_up:
            list(walked(source))

    assert hung_up.value.detail == "Remote end closed connection without response"


def test_a_redirect_is_not_followed() -> None:
    """A redirect is told with where it leads; following it would read its body without bounds."""

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        await RedirectResponse("/elsewhere")(scope, receive, send)

    with pytest.raises(errors.UnexpectedStatusError, match="307 /elsewhere"):
        walk(elsewhere)


def test_an_answer_that_never_comes(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server is given up after the read timeout."""
    monkeypatch.setattr(search_api, "READ_TIMEOUT", 0.05)

    with pytest.raises(errors.UnreachableError, match=r"within 0\.05 s"):
        walk(Faulty(emulator, otherwise=faults.stalled()))


def test_an_answer_that_trickles(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that keeps coming without an end is given up as well."""
    monkeypatch.setattr(search_api, "LONGEST_ANSWER", -1)

    with pytest.raises(errors.UnreachableError, match="no end within"):
        walk(emulator)


def test_a_body_without_bounds(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body beyond what a page can be is refused while it comes."""
    monkeypatch.setattr(search_api, "LARGEST_BODY", 100_000)

    with pytest.raises(errors.TooLargeError) as refused:
        walk(emulator)

    assert refused.value.status == 200


@pytest.mark.parametrize("limit", [None, 2_000])
def test_a_page_again_is_no_walk(emulator: Emulator, limit: int | None) -> None:
    """A page that comes again ends the walk with an error, in either order."""
    with pytest.raises(errors.NoAdvanceError):
        walk(Faulty(emulator, {2: faults.repeated_page()}), limit=limit, page_size=500)


def test_a_page_in_the_wrong_order_is_no_walk() -> None:
    """A page whose last complaint comes before its first is refused."""
    backwards = page_like([{"sort": [2, "7"]}, {"sort": [1, "8"]}])
    with pytest.raises(errors.NoAdvanceError):
        walk(Faulty(Emulator(COMPLAINTS), otherwise=faults.wrong_shape(backwards)))


@pytest.mark.parametrize(
    ("fault", "field"),
    [(faults.hit_without_id(), "complaint_id"), (faults.wrong_type("state", 7), "state")],
)
def test_a_hit_that_is_no_complaint_is_named(
    emulator: Emulator, fault: faults.Fault, field: str
) -> None:
    """A hit that cannot be a complaint is found when the page is read, by place and field."""
    (page,) = walk(Faulty(emulator, otherwise=fault), limit=10)

    with pytest.raises(errors.InvalidHitError) as invalid:
        page.parsed()

    assert (invalid.value.hit, invalid.value.field) == (1, field)
    assert invalid.value.part == "page 1, 10 complaints"


def test_a_field_that_nobody_knows_is_told() -> None:
    """What a newer release sends beyond our columns is not lost from sight."""
    newer = [{**complaint, "event_tag": "storm"} for complaint in COMPLAINTS[:3]]
    (page,) = walk(Emulator(newer))

    assert page.parsed().unknown == {"event_tag"}


# --- what it remembers ----------------------------------------------------------------------


def test_what_is_asked_is_told_as_json() -> None:
    """The record of a load says what was asked, and nothing that was not."""
    assert SearchApi(Query(state=("CA",), search="fee"), 5).described() == (
        '{"state": ["CA"], "search": "fee", "limit": 5}'
    )
    assert SearchApi().described() == "{}"


def test_progress_is_json() -> None:
    """A page is remembered with its cursor."""
    assert Page(3, 100, (1, "22"), 200).as_progress() == (
        '{"number": 3, "size": 100, "after": [1, "22"], "before_it": 200}'
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/",
        "http://",
        "http://[::1/",
        "http://x:port/",
        "x",
        "http://me:secret@x/",
        "http://*/",
    ],
)
def test_an_address_must_be_one(url: str) -> None:
    """An address that cannot be asked is refused before anything is."""
    with pytest.raises(errors.InvalidQueryError, match="api_url"):
        SearchApi(url=url)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_a_number_of_complaints(limit: int) -> None:
    """A limit below one is refused."""
    with pytest.raises(errors.InvalidQueryError, match="limit"):
        SearchApi(limit=limit)
