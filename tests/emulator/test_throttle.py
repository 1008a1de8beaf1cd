"""The sliding window of CCDB_API.md section 6."""

import requests

from cfpb_etl.emulator import made_complaints

from .conftest import Serve


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return what it was set to."""
        return self.now


def test_there_is_no_limit_unless_asked_for(served: Serve) -> None:
    """Tests and samples need not wait."""
    api = served(made_complaints(3))

    assert {api.get().status_code for _ in range(30)} == {200}


def test_the_twenty_first_request_must_wait_for_the_oldest(served: Serve) -> None:
    """Waiting as long as told is enough, one moment less is not."""
    clock = Clock()
    api = served(made_complaints(3), throttle=20, clock=clock)
    for _ in range(20):
        assert api.get().status_code == 200
        clock.now += 0.2

    refused = api.get()
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "56"
    assert refused.headers["Content-Type"] == "application/json"
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert refused.content == (
        b'{"detail":"Request was throttled. Expected available in 56 seconds."}'
    )
    clock.now = 1059.5
    assert api.get().headers["Retry-After"] == "1"
    assert api.get().json() == {"detail": "Request was throttled. Expected available in 1 second."}
    clock.now = 1060.0
    assert api.get().status_code == 200
    # One place was free, and the refused requests took none.
    assert api.get().status_code == 429


def test_requests_that_are_wrong_count(served: Serve) -> None:
    """The throttle is asked before the parameters are looked at."""
    api = served(made_complaints(3), throttle=2)

    answers = [api.get("size=x").status_code for _ in range(3)]

    assert answers == [400, 400, 429]


def test_each_client_has_its_own_window(served: Serve) -> None:
    """A client is what X-Forwarded-For says, all of it."""
    api = served(made_complaints(3), throttle=1)

    def answer(forwarded_for: str) -> int:
        headers = {"X-Forwarded-For": forwarded_for}
        return requests.get(api.url, headers=headers, timeout=10).status_code

    assert [answer("1.1.1.1"), answer("2.2.2.2"), answer("1.1.1.1")] == [200, 200, 429]


def test_the_window_can_be_short(served: Serve) -> None:
    """Retry-After is whole seconds all the same."""
    clock = Clock()
    api = served(made_complaints(3), throttle=1, window_seconds=0.5, clock=clock)

    assert api.get().status_code == 200
    assert api.get().headers["Retry-After"] == "1"
    clock.now += 0.5
    assert api.get().status_code == 200
