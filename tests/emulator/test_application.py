"""Tests of routes, content negotiation and responses (docs/facts.md, "The search API")."""

from datetime import date

import pytest
import requests

from cfpb_etl.emulator import generate_complaints

from .conftest import Api, ServeApi


@pytest.mark.parametrize("path", ["", "//", "/foo", "/123/", "/?size=1"])
def test_other_paths_return_an_html_page(deployed_api: Api, path: str) -> None:
    """The status is 200 without a redirect, so a client must check the Content-Type."""
    url = deployed_api.url.removesuffix("/") + path
    response = requests.get(url, timeout=10, allow_redirects=False)

    html = path != "/?size=1"
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html") == html


def test_response_is_json_with_the_real_headers(deployed_api: Api) -> None:
    """It has a length and the headers for the edge, but no charset."""
    response = deployed_api.get(size=3)

    headers = response.headers
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == len(response.content)
    assert headers["Vary"] == "Accept, Cookie"
    assert headers["Access-Control-Allow-Origin"] == "https://cfpb.github.io"
    assert headers["Edge-Cache-Tag"] == "complaints"
    assert "Content-Encoding" not in headers
    assert "ETag" not in headers


def test_json_is_compact_utf_8(serve_api: ServeApi) -> None:
    """Text is not escaped, and separators have no spaces."""
    (complaint,) = generate_complaints(1)
    api = serve_api([{**complaint, "company": "Crédito Río Claro’s, LLC"}])

    body = api.get().content

    assert '"company":"Crédito Río Claro’s, LLC"'.encode() in body


def test_response_has_the_real_keys_in_order(deployed_api: Api) -> None:
    """Aggregations are empty, and absent with `no_aggs`."""
    body = deployed_api.get().json()

    assert list(body) == ["took", "timed_out", "_shards", "hits", "aggregations", "_meta"]
    assert len(body["hits"]["hits"]) == 25
    assert body["aggregations"]["product"]["product"]["buckets"] == []
    assert body["aggregations"]["product"]["doc_count"] == 4000
    assert "aggregations" not in deployed_api.get(no_aggs="true").json()


def test_meta_describes_the_whole_index(deployed_api: Api) -> None:
    """The filters of the search do not change it."""
    assert deployed_api.get(state="CA", size=1000).json()["_meta"] == {
        "license": "CC0",
        "last_updated": "2026-10-07T12:00:00-05:00",
        "last_indexed": "2026-10-08T12:00:00-05:00",
        "total_record_count": 4000,
        "is_data_stale": False,
        "has_data_issue": False,
        "break_points": {},
    }


@pytest.mark.parametrize(
    ("today", "stale"),
    [
        (date(2026, 10, 12), False),  # Monday: six days
        (date(2026, 10, 13), False),
        (date(2026, 10, 14), True),
        (date(2026, 10, 9), False),
        (date(2026, 10, 16), True),  # Friday: four days
        (date(2026, 10, 11), False),
        (date(2026, 10, 17), True),
    ],
)
def test_old_data_are_stale(serve_api: ServeApi, today: date, *, stale: bool) -> None:
    """The limit is 6 days, but 4 days on a Friday and 5 on a Saturday."""
    complaints = [
        {**generate_complaints(1)[0], "date_received": "2026-10-07T10:00:00.000Z"},
    ]

    meta = serve_api(complaints, today=today).get().json()["_meta"]

    assert meta["is_data_stale"] is stale
    assert meta["last_indexed"] == f"{today}T12:00:00-05:00"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200),
        ("application/json; indent=4, text/csv", 200),
        ("text/html", 406),
        ("application/xml", 406),
        ("text/csv", 501),
    ],
)
def test_accept_header_selects_the_format(deployed_api: Api, accept: str, status: int) -> None:
    """The emulator statuses 501 where the real server sends an export."""
    response = requests.get(deployed_api.url, headers={"Accept": accept}, timeout=10)

    assert response.status_code == status
    if status == 406:
        assert response.json() == {"detail": "Could not satisfy the request Accept header."}


@pytest.mark.parametrize("name", ["xml", "api", "JSON", "json"])
def test_unknown_format_gets_404(deployed_api: Api, name: str) -> None:
    """`json` is unknown since 2026-08."""
    response = deployed_api.get(format=name)

    assert (response.status_code, response.json()) == (404, {"detail": "Not found."})


def test_exports_get_501(deployed_api: Api, api_2024: Api) -> None:
    """An export with `Accept: application/json` gets 406, as at CFPB."""
    json_only = {"Accept": "application/json"}
    csv = requests.get(deployed_api.url, {"format": "csv"}, headers=json_only, timeout=10)

    assert csv.status_code == 406
    assert deployed_api.get(format="csv").status_code == 501
    assert api_2024.get(format="json").status_code == 501


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_get_405(deployed_api: Api, method: str) -> None:
    """The body has the name of the method."""
    response = requests.request(method, deployed_api.url, timeout=10)

    assert response.status_code == 405
    assert response.json() == {"detail": f'Method "{method}" not allowed.'}


def test_head_gets_405(deployed_api: Api) -> None:
    """The response has a length but no body."""
    response = requests.head(deployed_api.url, timeout=10)

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, OPTIONS"
    assert response.headers["Content-Length"] != "0"
    assert response.content == b""


def test_options_gets_200(deployed_api: Api) -> None:
    """The response lists the allowed methods."""
    response = requests.options(deployed_api.url, timeout=10)

    assert response.status_code == 200
    assert response.headers["Allow"] == "GET, OPTIONS"


def test_checks_run_in_the_real_order(serve_api: ServeApi) -> None:
    """Negotiation is first, then rate limit, method, parameters and index."""
    api = serve_api(generate_complaints(5), throttle=3)

    statuses = [
        api.get("format=xml&size=x").status_code,
        api.get("size=x&search_after=nonsense").status_code,
        api.get("search_after=nonsense").status_code,
        requests.head(api.url, timeout=10).status_code,
        api.get("size=x").status_code,
        api.get("format=xml").status_code,
    ]

    assert statuses == [404, 400, 424, 405, 429, 404]


def test_emulator_records_search_requests(serve_api: ServeApi) -> None:
    """They are in order and include refused ones, but not requests for the HTML page."""
    ticks = iter([1.5, 2.5])
    api = serve_api(generate_complaints(5), clock=lambda: next(ticks))

    api.get("state=CA&state=NY&size=")
    requests.get(f"{api.url}other", timeout=10)
    requests.get(api.url, headers={"User-Agent": "a test"}, timeout=10)

    first, second = api.emulator.requests
    assert first.parameters == (("state", "CA"), ("state", "NY"), ("size", ""))
    assert (first.at, first.status) == (1.5, 400)
    assert (second.at, second.status) == (2.5, 200)
    assert second.headers["user-agent"] == "a test"
