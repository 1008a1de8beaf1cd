"""Tests of the sliding window (docs/facts.md, "Rate limit")."""

import requests

from cfpb_etl.emulator import generate_complaints

from .conftest import ServeApi


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the set time."""
        return self.now


def test_there_is_no_limit_by_default(serve_api: ServeApi) -> None:
    """Tests and sample loads do not wait."""
    api = serve_api(generate_complaints(3))

    assert {api.get().status_code for _ in range(30)} == {200}


def test_request_21_waits_until_the_oldest_is_60_seconds_old(serve_api: ServeApi) -> None:
    """Waiting for `Retry-After` seconds is enough, half a second less is not."""
    clock = Clock()
    api = serve_api(generate_complaints(3), throttle=20, clock=clock)
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
    # One slot was free, because refused requests do not count.
    assert api.get().status_code == 429


def test_invalid_requests_count(serve_api: ServeApi) -> None:
    """The rate limit is checked before the parameters."""
    api = serve_api(generate_complaints(3), throttle=2)

    statuses = [api.get("size=x").status_code for _ in range(3)]

    assert statuses == [400, 400, 429]


def test_each_client_has_its_own_limit(serve_api: ServeApi) -> None:
    """The whole X-Forwarded-For header identifies a client."""
    api = serve_api(generate_complaints(3), throttle=1)

    def status(forwarded_for: str) -> int:
        headers = {"X-Forwarded-For": forwarded_for}
        return requests.get(api.url, headers=headers, timeout=10).status_code

    assert [status("1.1.1.1"), status("2.2.2.2"), status("1.1.1.1")] == [200, 200, 429]


def test_window_can_be_shorter_than_a_second(serve_api: ServeApi) -> None:
    """`Retry-After` is still in whole seconds."""
    clock = Clock()
    api = serve_api(generate_complaints(3), throttle=1, window_seconds=0.5, clock=clock)

    assert api.get().status_code == 200
    assert api.get().headers["Retry-After"] == "1"
    clock.now += 0.5
    assert api.get().status_code == 200
