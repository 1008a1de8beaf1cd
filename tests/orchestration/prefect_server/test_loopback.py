"""The proxies of Prefect's clients, which the user's variables name."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from cfpb_etl.environment import proxy_for, proxy_variables, set_proxy_variables
from cfpb_etl.errors import InvalidProxyError
from cfpb_etl.orchestration.prefect_server.loopback import loopback_direct, users_proxies

if TYPE_CHECKING:
    from collections.abc import Iterator

PROXY = "http://joe:s3cret@proxy.example:3128"
CFPB = "https://www.consumerfinance.gov/"
LOOPBACK = ("http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api")
SUITABLE = (
    {"HTTP_PROXY": PROXY},
    {"http_proxy": PROXY, "All_Proxy": PROXY, "NO_PROXY": "example.org, 10.0.0.1"},
    {"all_proxy": PROXY, "no_proxy": "example.org"},
)
UNSUITABLE = (
    {"ALL_PROXY": "socks://proxy.example/"},
    {"HTTP_PROXY": "ftp://proxy.example"},
    {"NO_PROXY": "127.0.0.0/8,[::1]"},
)


@pytest.fixture(autouse=True)
def no_variables() -> Iterator[None]:
    """Begin without the variables, and restore them."""
    before = proxy_variables()
    set_proxy_variables({})
    yield
    set_proxy_variables(before)


@pytest.fixture(params=[*SUITABLE, *UNSUITABLE], ids=str)
def variables(request: pytest.FixtureRequest) -> dict[str, str]:
    """Set variables, among them a proxy for CFPB."""
    variables: dict[str, str] = request.param | {"HTTPS_PROXY": PROXY}
    set_proxy_variables(variables)
    return variables


def is_direct(api_url: str) -> bool:
    """Say whether Prefect's two kinds of connections use no proxy."""
    host = urlsplit(api_url).netloc
    with httpx.Client() as client:
        used = client._transport_for_url(httpx.URL(api_url))
        direct = used is client._transport
    return direct and get_proxy(parse_uri(f"ws://{host}/api/events/in")) is None


@pytest.mark.parametrize("api_url", LOOPBACK)
def test_prefects_clients_connect_directly_to_this_computer(
    variables: dict[str, str], api_url: str
) -> None:
    """Prefect's clients use no proxy, and the program still knows the one for CFPB."""
    with loopback_direct(api_url):
        assert is_direct(api_url)
        assert str(proxy_for(CFPB)) == "http://proxy.example:3128 (HTTPS_PROXY)"
        with loopback_direct(api_url):
            assert is_direct(api_url)
        assert is_direct(api_url)
        with users_proxies():  # of a notification
            assert proxy_variables() == variables
        assert is_direct(api_url)

    assert proxy_variables() == variables


@pytest.mark.parametrize("each", SUITABLE, ids=str)
def test_other_code_keeps_its_proxies_during_a_run(
    each: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an exception for this computer is added."""
    for name, value in each.items():
        monkeypatch.setenv(name, value)
    excluded = [each.get("no_proxy") or each.get("NO_PROXY"), "127.0.0.1"]

    with loopback_direct(LOOPBACK[0]):
        assert proxy_variables() == each | {"no_proxy": ",".join(filter(None, excluded))}


def test_without_proxies_nothing_changes() -> None:
    """A run without variables leaves the environment as it is."""
    before = dict(os.environ)

    with loopback_direct(LOOPBACK[0]):
        assert dict(os.environ) == before


def test_runs_at_once(variables: dict[str, str]) -> None:
    """The variables change with the first run, and are put back after the last one."""
    runs = [ExitStack() for _ in range(3)]
    for run in runs:
        thread = threading.Thread(target=run.enter_context, args=[loopback_direct(LOOPBACK[0])])
        thread.start()
        thread.join()
    for run in runs[1:]:
        run.close()
    assert is_direct(LOOPBACK[0])
    runs[0].close()

    assert proxy_variables() == variables


def test_changes_by_other_code_stay(variables: dict[str, str]) -> None:
    """Other code may set or remove a variable during a run."""
    with loopback_direct(LOOPBACK[0]):
        os.environ["HTTPS_PROXY"] = "http://new.example:3128"

    assert proxy_variables() == variables | {"HTTPS_PROXY": "http://new.example:3128"}
    assert str(proxy_for(CFPB)) == "http://new.example:3128 (HTTPS_PROXY)"


@pytest.mark.parametrize(
    ("no_proxy", "left"),
    [
        ("10.0.0.0/8,[::1]", {"http_proxy": PROXY}),
        ("prefect.example,[::1]", {"NO_PROXY": "*"}),
    ],
)
def test_prefects_clients_keep_the_proxy_to_another_computer(
    no_proxy: str, left: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They keep the one proxy that they need, unless NO_PROXY excludes the server."""
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("ALL_PROXY", "socks://unused")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    with loopback_direct("http://prefect.example:4200/api"):
        assert proxy_variables() == left


def test_an_invalid_proxy_to_prefect_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Prefect's API needs a proxy whose variable is invalid, the error says so."""
    monkeypatch.setenv("ALL_PROXY", "socks://proxy.example")

    with (
        pytest.raises(InvalidProxyError, match="ALL_PROXY does not contain"),
        loopback_direct("http://prefect.example:4200/api"),
    ):
        pass

    assert proxy_variables() == {"ALL_PROXY": "socks://proxy.example"}
