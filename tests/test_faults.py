"""Each fault does what it says, over real HTTP."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from cfpb_etl.emulator import Emulator, made_complaints, serve
from faults import (
    Delayed,
    Fault,
    Faulty,
    backend_trouble,
    cut_body,
    first,
    forbidden_html,
    hit_without_id,
    html_page,
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
    """Return a function that serves ten complaints with faults, and gives a way to ask for them."""
    with ExitStack() as stack:

        def served(*arguments: Any, **options: Any) -> Ask:
            app = Faulty(Emulator(made_complaints(10)), *arguments, **options)
            url = stack.enter_context(serve(app))

            def ask(**parameters: Any) -> requests.Response:
                wanted = {"sort": "created_date_desc", **parameters}
                return requests.get(url, params=wanted, timeout=10)

            return ask

        yield served


def test_a_fault_comes_at_its_request_and_at_no_other(faulty: Callable[..., Ask]) -> None:
    """They are counted from 1."""
    ask = faulty({2: server_error(), 4: backend_trouble()})

    assert [ask().status_code for _ in range(5)] == [200, 500, 200, 424, 200]


def test_a_burst_comes_first(faulty: Callable[..., Ask]) -> None:
    """And ends."""
    ask = faulty(first(3, backend_trouble()))

    assert [ask().status_code for _ in range(4)] == [424, 424, 424, 200]


def test_a_fault_may_be_for_good(faulty: Callable[..., Ask]) -> None:
    """For all requests that have none of their own."""
    ask = faulty({1: server_error()}, otherwise=backend_trouble())

    assert [ask().status_code for _ in range(3)] == [500, 424, 424]


def test_requests_are_remembered_in_their_order() -> None:
    """The failed ones too."""
    app = Faulty(Emulator(made_complaints(3)), {1: server_error()})

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
def test_some_answer_with_an_error_in_json(
    faulty: Callable[..., Ask], fault: Fault, status: int, body: dict[str, str]
) -> None:
    """The words are the server's."""
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
def test_some_answer_in_html(
    faulty: Callable[..., Ask], fault: Fault, status: int, text: str
) -> None:
    """From something in front of the server, or from another route."""
    response = faulty(otherwise=fault)()

    assert (response.status_code, text in response.text) == (status, True)
    assert response.headers["Content-Type"].startswith("text/html")
    assert (response.headers.get("Server") == "AkamaiGHost") == (status == 403)


def test_a_cut_body_ends_too_early(faulty: Callable[..., Ask]) -> None:
    """It is shorter than was announced."""
    ask = faulty({1: cut_body()})

    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        ask()
    assert ask().status_code == 200


def test_invalid_json_is_whole_and_cannot_be_read(faulty: Callable[..., Ask]) -> None:
    """Its length is right."""
    response = faulty(otherwise=invalid_json())()

    assert int(response.headers["Content-Length"]) == len(response.content)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()


def test_a_wrong_shape_is_json(faulty: Callable[..., Ask]) -> None:
    """An empty list, or what is told."""
    assert faulty(otherwise=wrong_shape())().json() == []
    assert faulty(otherwise=wrong_shape({"hits": None}))().json() == {"hits": None}


def test_a_wrong_type_stands_in_the_first_complaint(faulty: Callable[..., Ask]) -> None:
    """The others are as they were."""
    hits = faulty(otherwise=wrong_type())().json()["hits"]["hits"]

    assert [type(hit["_source"]["company"]) for hit in hits] == [int] + 9 * [str]


def test_a_hit_may_lack_its_id(faulty: Callable[..., Ask]) -> None:
    """The first does."""
    hits = faulty(otherwise=hit_without_id())().json()["hits"]["hits"]

    assert ["complaint_id" in hit["_source"] for hit in hits] == [False] + 9 * [True]


def test_a_repeated_page_is_that_of_the_request_before(faulty: Callable[..., Ask]) -> None:
    """Whatever cursor is sent."""
    ask = faulty({3: repeated_page()})

    def page(cursor: str) -> tuple[list[Any], str]:
        hits = ask(size=2, **({"search_after": cursor} if cursor else {})).json()["hits"]["hits"]
        return hits, "_".join(map(str, hits[-1]["sort"]))

    one, cursor = page("")
    two, cursor = page(cursor)
    again, _ = page(cursor)
    three, _ = page(cursor)

    assert one != two == again != three


def test_a_page_may_be_too_large(faulty: Callable[..., Ask]) -> None:
    """Smaller ones are answered."""
    ask = faulty(otherwise=too_large(5))

    assert [ask(size=size).status_code for size in (6, 5)] == [424, 200]
    assert ask().status_code == 424


def test_a_stalled_answer_comes_when_the_event_is_set() -> None:
    """Not before; other requests are answered meanwhile."""
    event = threading.Event()
    app = Faulty(Emulator(made_complaints(3)), {1: stalled(event)})
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


def test_a_client_gives_up_a_stalled_answer() -> None:
    """And the server ends promptly all the same."""
    app = Faulty(Emulator(made_complaints(3)), {1: stalled()})

    with serve(app) as url:
        with pytest.raises(requests.ReadTimeout):
            requests.get(url, timeout=0.05)
        assert requests.get(url, timeout=10).status_code == 200


@pytest.mark.parametrize("until", [None, threading.Event()])
def test_the_server_ends_promptly_while_an_answer_is_stalled(
    until: threading.Event | None,
) -> None:
    """The client gets a connection error, not a timeout."""
    app = Faulty(Emulator(made_complaints(3)), {1: stalled(until)})
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
        began = time.perf_counter()
    took = time.perf_counter() - began
    waiting.join()

    assert took < 0.2
    assert len(failures) == 1


def test_a_delayed_answer_takes_its_time() -> None:
    """The request is taken at once, and the answer is the one that was due then."""
    emulator = Emulator(made_complaints(3))

    with serve(Delayed(emulator, 0.1)) as url:
        total = requests.get(url, timeout=10).json()["hits"]["total"]["value"]

    assert time.monotonic() - emulator.requests[0].at >= 0.1
    assert total == 3
