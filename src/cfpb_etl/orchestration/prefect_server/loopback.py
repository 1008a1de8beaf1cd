"""Direct connections of Prefect's clients to a server on this computer, in spite of proxies."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from cfpb_etl.environment import (
    keep_settings,
    proxy_for,
    proxy_variables,
    set_proxy_variables,
    users_settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_changing = threading.Lock()
_runs = 0  # how many runs need the changes
_before: dict[str, str] = {}  # the user's variables
_after: dict[str, str] = {}  # the same, with the changes


@contextmanager
def loopback_direct(api_url: str) -> Iterator[None]:
    """Let Prefect's clients connect directly to an API on this computer, while a run lasts.

    Other threads of the process keep their proxies: this computer is added to NO_PROXY, and nothing
    else changes. Only if Prefect's clients cannot start with a variable, the variables are removed
    (docs/facts.md, "Proxies and certificates"). After the last run, each variable is as before,
    unless something else has changed it.

    Args:
        api_url: The URL of Prefect's API.

    Raises:
        InvalidProxyError: If the variable for the API does not contain the address of a proxy.
        MissingSocksError: If the proxy for the API needs packages that are not installed.
    """
    global _runs  # noqa: PLW0603 - the environment is global too
    with _changing:
        if not _runs:
            _before.clear()
            _before.update(proxy_variables())
            _change_variables(api_url)
            _after.clear()
            _after.update(proxy_variables())
        _runs += 1
    try:
        yield
    finally:
        with _changing:
            _runs -= 1
            if not _runs:
                keep_settings(None)
                _restore_variables()


@contextmanager
def users_proxies() -> Iterator[None]:
    """Put the user's proxy variables back for a while, for connections that are not ours."""
    changed = proxy_variables()
    if _runs:
        set_proxy_variables(_before)
    try:
        yield
    finally:
        set_proxy_variables(changed)


def _change_variables(api_url: str) -> None:
    users = users_settings()
    if not users.proxies:
        return
    proxy = proxy_for(api_url)
    if proxy is not None:
        proxy.require("socksio", "python_socks")
    # Without a variable, the proxies are the system's. A first variable would replace them all.
    has_variable = any(name.lower() != "no_proxy" for name in _before)
    if has_variable and _suit_prefect():
        if proxy is None:
            excluded = (users.proxies.get("no"), urlsplit(api_url).hostname)
            os.environ["no_proxy"] = ",".join(filter(None, excluded))  # it precedes NO_PROXY
        return
    keep_settings(users)
    if proxy is None:
        set_proxy_variables({"NO_PROXY": "*"})  # for the system's settings too
    else:
        set_proxy_variables({f"{urlsplit(api_url).scheme}_proxy": proxy.url})


def _suit_prefect() -> bool:
    """Say whether Prefect's clients can start with the variables."""
    try:
        httpx.Client(verify=False).close()  # noqa: S501 - it connects to nothing
    except Exception:  # noqa: BLE001 - an unknown scheme, a missing package, a wrong address
        return False
    return True


def _restore_variables() -> None:
    now = proxy_variables()
    kept = {name: value for name, value in now.items() if value != _after.get(name)}
    removed = {name for name in _after if name not in now}
    restored = {name: value for name, value in _before.items() if name not in removed}
    set_proxy_variables(restored | kept)
