"""Each fault does what it says, over real HTTP."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve
from support.faults import (
    Delayed,
    Fault,
    Faulty,
    backend_trouble,
    corrupt_download,
    cut_and_changed,
    cut_body,
    cut_download,
    first,
    forbidden_html,
    hit_without_id,
    html_page,
    ignores_range,
    invalid_json,
    repeated_page,
    server_error,
    stalled,
    throttled,
    too_large,
    unavailable_html,
    wrong_shape,
    wrong_type,
)

Ask = Callable[..., requests.Response]


@pytest.fixture
def faulty() -> Iterator[Callable[..., Ask]]:
    """Return a function that serves ten complaints with faults, and returns a client for them."""
    with ExitStack() as stack:

        def served(*arguments: Any, **options: Any) -> Ask:
            app = Faulty(Emulator(generate_complaints(10)), *arguments, **options)
            url = stack.enter_context(serve(app))

            def ask(**parameters: Any) -> requests.Response:
                wanted = {"sort": "created_date_desc", **parameters}
                return requests.get(url, params=wanted, timeout=10)

            return ask

        yield served


def test_a_fault_is_for_one_request(faulty: Callable[..., Ask]) -> None:
    """Requests are counted from 1."""
    ask = faulty({2: server_error(), 4: backend_trouble()})

    assert [ask().status_code for _ in range(5)] == [200, 500, 200, 424, 200]


def test_a_burst_of_faults(faulty: Callable[..., Ask]) -> None:
    """After the first requests it ends."""
    ask = faulty(first(3, backend_trouble()))

    assert [ask().status_code for _ in range(4)] == [424, 424, 424, 200]


def test_a_permanent_fault(faulty: Callable[..., Ask]) -> None:
    """It is for all requests without a fault of their own."""
    ask = faulty({1: server_error()}, otherwise=backend_trouble())

    assert [ask().status_code for _ in range(3)] == [500, 424, 424]


def test_requests_are_recorded_in_order() -> None:
    """Failed requests are recorded too."""
    app = Faulty(Emulator(generate_complaints(3)), {1: server_error()})

    with serve(app) as url:
        requests.get(f"{url}?state=CA&state=NY&size=", timeout=10)
        requests.get(url, timeout=10)

    assert app.requests == [(("state", "CA"), ("state", "NY"), ("size", "")), ()]


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (backend_trouble(), 424, {"error": "There was an error calling OpenSearch"}),
        (server_error(), 500, {"error": "There was a problem retrieving your request"}),
        (
            throttled(3),
            429,
            {"detail": "Request was throttled. Expected available in 3 seconds."},
        ),
    ],
)
def test_errors_in_json(
    faulty: Callable[..., Ask], fault: Fault, status: int, body: dict[str, str]
) -> None:
    """The messages are those of the server."""
    response = faulty(otherwise=fault)()

    assert (response.status_code, response.json()) == (status, body)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers.get("Retry-After") == ("3" if status == 429 else None)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (forbidden_html(), 403, "Access Denied"),
        (unavailable_html(), 503, "Service Unavailable"),
        (html_page(), 200, "<!DOCTYPE html>"),
    ],
)
def test_errors_in_html(faulty: Callable[..., Ask], fault: Fault, status: int, text: str) -> None:
    """They come from a proxy in front of the server, or from another route."""
    response = faulty(otherwise=fault)()

    assert (response.status_code, text in response.text) == (status, True)
    assert response.headers["Content-Type"].startswith("text/html")
    assert (response.headers.get("Server") == "AkamaiGHost") == (status == 403)


def test_a_cut_body(faulty: Callable[..., Ask]) -> None:
    """It is shorter than announced."""
    ask = faulty({1: cut_body()})

    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        ask()
    assert ask().status_code == 200


@pytest.fixture
def download(tmp_path: Path) -> Iterator[Callable[..., Ask]]:
    """Return a function that serves a bulk file with faults, and returns a client for it."""
    emulator = Emulator(generate_complaints(4_000), files=tmp_path)
    emulator.publish(date(2026, 10, 8))
    with ExitStack() as stack:

        def served(faults: dict[int, Fault]) -> Ask:
            url = urljoin(stack.enter_context(serve(Faulty(emulator, faults))), BULK_PATH)

            def ask(asked: str = "bytes=0-", **options: Any) -> requests.Response:
                return requests.get(url, headers={"Range": asked}, timeout=10, **options)

            return ask

        yield served


def received(response: requests.Response) -> bytes:
    """Return the bytes of a body that is shorter than announced."""
    chunks: list[bytes] = []
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        chunks.extend(response.iter_content(1))
    return b"".join(chunks)


def test_a_cut_download(download: Callable[..., Ask]) -> None:
    """The requested part is cut, and its headers are those of the whole part."""
    ask = download({2: cut_download(100_000), 3: cut_download(0)})
    whole = ask()

    cut = ask("bytes=500-", stream=True)

    assert len(whole.content) > 100_500
    assert (cut.status_code, cut.headers["ETag"]) == (206, whole.headers["ETag"])
    assert int(cut.headers["Content-Length"]) == len(whole.content) - 500
    assert received(cut) == whole.content[500:100_500]
    assert received(ask(stream=True)) == b""
    assert ask().content == whole.content


def test_a_download_that_changes(tmp_path: Path) -> None:
    """After the cut the file is another."""
    emulator = Emulator(generate_complaints(50), files=tmp_path)
    emulator.publish(date(2026, 10, 8))
    change = cut_and_changed(lambda: emulator.publish(date(2026, 10, 9)), 70)

    with serve(Faulty(emulator, {1: change})) as url:
        before = requests.get(urljoin(url, BULK_PATH), stream=True, timeout=10)
        first_bytes = received(before)
        rest = {"Range": "bytes=70-", "If-Range": before.headers["ETag"]}
        after = requests.get(urljoin(url, BULK_PATH), headers=rest, timeout=10)

    assert (len(first_bytes), after.status_code) == (70, 200)
    assert after.headers["ETag"] != before.headers["ETag"]


def test_a_corrupt_download(download: Callable[..., Ask]) -> None:
    """It differs in one byte, and in nothing else."""
    ask = download({2: corrupt_download(0.99)})

    whole, corrupt = ask(), ask()

    pairs = zip(whole.content, corrupt.content, strict=True)
    (place,) = [at for at, (right, wrong) in enumerate(pairs) if right != wrong]
    assert place == int(0.99 * len(whole.content))
    assert (corrupt.status_code, corrupt.headers["ETag"]) == (206, whole.headers["ETag"])


def test_an_ignored_range(download: Callable[..., Ask]) -> None:
    """The whole file is sent, as without a range."""
    ask = download({2: ignores_range()})

    whole, ignored = ask(), ask("bytes=500-")

    assert (ignored.status_code, ignored.content) == (200, whole.content)
    assert "Content-Range" not in ignored.headers


def test_invalid_json(faulty: Callable[..., Ask]) -> None:
    """The body is complete, and cannot be decoded."""
    response = faulty(otherwise=invalid_json())()

    assert int(response.headers["Content-Length"]) == len(response.content)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()


def test_a_wrong_shape(faulty: Callable[..., Ask]) -> None:
    """It is an empty list, or the given JSON."""
    assert faulty(otherwise=wrong_shape())().json() == []
    assert faulty(otherwise=wrong_shape({"hits": None}))().json() == {"hits": None}


def test_a_wrong_type(faulty: Callable[..., Ask]) -> None:
    """Only the first complaint has it."""
    hits = faulty(otherwise=wrong_type())().json()["hits"]["hits"]

    assert [type(hit["_source"]["company"]) for hit in hits] == [int] + 9 * [str]


def test_a_hit_without_an_id(faulty: Callable[..., Ask]) -> None:
    """It is the first one."""
    hits = faulty(otherwise=hit_without_id())().json()["hits"]["hits"]

    assert ["complaint_id" in hit["_source"] for hit in hits] == [False] + 9 * [True]


def test_a_repeated_page(faulty: Callable[..., Ask]) -> None:
    """It is the page of the request before, with any cursor."""
    ask = faulty({3: repeated_page()})

    def page(cursor: str) -> tuple[list[Any], str]:
        hits = ask(size=2, **({"search_after": cursor} if cursor else {})).json()["hits"]["hits"]
        return hits, "_".join(map(str, hits[-1]["sort"]))

    one, cursor = page("")
    two, cursor = page(cursor)
    again, _ = page(cursor)
    three, _ = page(cursor)

    assert one != two == again != three


def test_a_page_that_is_too_large(faulty: Callable[..., Ask]) -> None:
    """Smaller pages are answered."""
    ask = faulty(otherwise=too_large(5))

    assert [ask(size=size).status_code for size in (6, 5)] == [424, 200]
    assert ask().status_code == 424


def test_a_stalled_answer() -> None:
    """It is sent when the event is set; other requests are answered meanwhile."""
    event = threading.Event()
    app = Faulty(Emulator(generate_complaints(3)), {1: stalled(event)})
    answers: list[int] = []

    with serve(app) as url:
        waiting = threading.Thread(
            target=lambda: answers.append(requests.get(url, timeout=10).status_code)
        )
        waiting.start()
        while not app.requests:
            assert waiting.is_alive()
        assert requests.get(url, timeout=10).status_code == 200
        before = list(answers)
        event.set()
        waiting.join()

    assert (before, answers) == ([], [200])


def test_a_client_that_does_not_wait() -> None:
    """The server still ends without delay."""
    app = Faulty(Emulator(generate_complaints(3)), {1: stalled()})

    with serve(app) as url:
        with pytest.raises(requests.ReadTimeout):
            requests.get(url, timeout=0.05)
        assert requests.get(url, timeout=10).status_code == 200


@pytest.mark.parametrize("until", [None, threading.Event()])
def test_the_server_ends_during_a_stalled_answer(
    until: threading.Event | None,
) -> None:
    """The client gets a connection error, not a timeout."""
    app = Faulty(Emulator(generate_complaints(3)), {1: stalled(until)})
    failures: list[Exception] = []

    def ask(url: str) -> None:
        try:
            requests.get(url, timeout=10)
        except requests.ConnectionError as error:
            failures.append(error)

    with serve(app) as url:
        waiting = threading.Thread(target=ask, args=[url])
        waiting.start()
        while not app.requests:
            assert waiting.is_alive()
        started = time.perf_counter()
    took = time.perf_counter() - started
    waiting.join()

    assert took < 0.2
    assert len(failures) == 1


def test_a_delayed_answer() -> None:
    """The request is received at once, and the answer is of that moment."""
    emulator = Emulator(generate_complaints(3))

    with serve(Delayed(emulator, 0.1)) as url:
        total = requests.get(url, timeout=10).json()["hits"]["total"]["value"]

    assert time.monotonic() - emulator.requests[0].at >= 0.1
    assert total == 3
