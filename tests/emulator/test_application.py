"""Routes, negotiation and the response itself (CCDB_API.md sections 1, 2 and 7)."""

from datetime import date

import pytest
import requests

from cfpb_etl.emulator import made_complaints

from .conftest import Api, Serve


@pytest.mark.parametrize("path", ["", "//", "/foo", "/123/", "/?size=1"])
def test_every_other_path_is_a_page_of_html(deployed: Api, path: str) -> None:
    """200 and no redirect, so that a client must look at the Content-Type."""
    url = deployed.url.removesuffix("/") + path
    response = requests.get(url, timeout=10, allow_redirects=False)

    html = path != "/?size=1"
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html") == html


def test_the_answer_is_json_with_the_servers_headers(deployed: Api) -> None:
    """No charset, a length, and the tags for what stands in front of the server."""
    response = deployed.get(size=3)

    headers = response.headers
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == len(response.content)
    assert headers["Vary"] == "Accept, Cookie"
    assert headers["Access-Control-Allow-Origin"] == "https://cfpb.github.io"
    assert headers["Edge-Cache-Tag"] == "complaints"
    assert "Content-Encoding" not in headers
    assert "ETag" not in headers


def test_text_is_utf_8_and_not_escaped(served: Serve) -> None:
    """Separators are compact."""
    (complaint,) = made_complaints(1)
    api = served([{**complaint, "company": "Crédito Río Claro’s, LLC"}])

    body = api.get().content

    assert '"company":"Crédito Río Claro’s, LLC"'.encode() in body


def test_the_envelope_has_its_keys_in_order(deployed: Api) -> None:
    """Aggregations are empty, and absent when not wanted."""
    body = deployed.get().json()

    assert list(body) == ["took", "timed_out", "_shards", "hits", "aggregations", "_meta"]
    assert len(body["hits"]["hits"]) == 25
    assert body["aggregations"]["product"]["product"]["buckets"] == []
    assert body["aggregations"]["product"]["doc_count"] == 4000
    assert "aggregations" not in deployed.get(no_aggs="true").json()


def test_meta_counts_the_whole_index_and_names_its_newest_day(deployed: Api) -> None:
    """Whatever is asked for."""
    assert deployed.get(state="CA", size=1000).json()["_meta"] == {
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
def test_old_data_are_called_stale(served: Serve, today: date, *, stale: bool) -> None:
    """After six days, or after as many as lead to the Monday before a weekend."""
    complaints = [
        {**made_complaints(1)[0], "date_received": "2026-10-07T10:00:00.000Z"},
    ]

    meta = served(complaints, today=today).get().json()["_meta"]

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
def test_what_a_client_accepts_decides(deployed: Api, accept: str, status: int) -> None:
    """The real server exports where this one says that it does not."""
    response = requests.get(deployed.url, headers={"Accept": accept}, timeout=10)

    assert response.status_code == status
    if status == 406:
        assert response.json() == {"detail": "Could not satisfy the request Accept header."}


@pytest.mark.parametrize("name", ["xml", "api", "JSON", "json"])
def test_an_unknown_format_is_not_found(deployed: Api, name: str) -> None:
    """`json` is one since 2026-08."""
    response = deployed.get(format=name)

    assert (response.status_code, response.json()) == (404, {"detail": "Not found."})


def test_exports_are_not_emulated(deployed: Api, of_2024: Api) -> None:
    """A session that always accepts JSON breaks its exports: that is emulated."""
    json_only = {"Accept": "application/json"}
    csv = requests.get(deployed.url, {"format": "csv"}, headers=json_only, timeout=10)

    assert csv.status_code == 406
    assert deployed.get(format="csv").status_code == 501
    assert of_2024.get(format="json").status_code == 501


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_not_allowed(deployed: Api, method: str) -> None:
    """The body names the method."""
    response = requests.request(method, deployed.url, timeout=10)

    assert response.status_code == 405
    assert response.json() == {"detail": f'Method "{method}" not allowed.'}


def test_head_is_not_allowed_either(deployed: Api) -> None:
    """It has the length of a GET's body, and no body."""
    response = requests.head(deployed.url, timeout=10)

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, OPTIONS"
    assert response.headers["Content-Length"] != "0"
    assert response.content == b""


def test_options_is_allowed(deployed: Api) -> None:
    """It describes the search."""
    response = requests.options(deployed.url, timeout=10)

    assert response.status_code == 200
    assert response.headers["Allow"] == "GET, OPTIONS"


def test_refusals_come_in_the_servers_order(served: Serve) -> None:
    """Negotiation, then the throttle, then the method and the parameters, then the index."""
    api = served(made_complaints(5), throttle=3)

    answers = [
        api.get("format=xml&size=x").status_code,
        api.get("size=x&search_after=nonsense").status_code,
        api.get("search_after=nonsense").status_code,
        requests.head(api.url, timeout=10).status_code,
        api.get("size=x").status_code,
        api.get("format=xml").status_code,
    ]

    assert answers == [404, 400, 424, 405, 429, 404]


def test_the_emulator_remembers_what_it_was_asked(served: Serve) -> None:
    """In order, refused or not; a page that people search with is no search."""
    ticks = iter([1.5, 2.5])
    api = served(made_complaints(5), clock=lambda: next(ticks))

    api.get("state=CA&state=NY&size=")
    requests.get(f"{api.url}other", timeout=10)
    requests.get(api.url, headers={"User-Agent": "a test"}, timeout=10)

    first, second = api.emulator.requests
    assert first.parameters == (("state", "CA"), ("state", "NY"), ("size", ""))
    assert (first.at, first.status) == (1.5, 400)
    assert (second.at, second.status) == (2.5, 200)
    assert second.headers["user-agent"] == "a test"
