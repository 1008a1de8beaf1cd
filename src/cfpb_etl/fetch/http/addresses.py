"""The addresses that a user gives: which are refused, and how a secret query stays in this process.

A query can be secret, such as a token or the signature of a presigned URL. Prefect stores the
parameters and names of runs, and the database stores where complaints came from. So these get a
reference, such as `https://host/file.zip?#3f2a9c1b`: the address with a hash instead of its query.
Only the request itself uses the whole address.

An address can also be `env:NAME`, a variable of the process that makes the request, or
`secret:NAME`, a Secret block of Prefect.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cfpb_etl.fetch.errors import (
    AddressRefusedError,
    NoAddressError,
    SecretAddressError,
    UnknownQueryError,
)
from cfpb_etl.plain_text import hide, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

_REFERENCE = re.compile(r"[^?#]*\?#[0-9a-f]{8}")
_NAMED = re.compile(r"(env|secret):([^/\\].*)")
# A password with a / or ? that is not encoded looks like a path or query: http://me:1/2@host/.
_LOGIN = re.compile(r"[^/?#]*//[^/?#]*(@|%40|:.*@)", re.DOTALL)
# Rounds of the hash. Without them, a short token could be found by hashing all short tokens.
_ROUNDS = 20_000

_kept: dict[str, str] = {}  # the whole address of each reference
_readers: dict[str, Callable[[str], str]] = {"env": lambda name: os.environ.get(name, "")}


def is_url(place: str) -> bool:
    """Say whether a file is given by an http or https URL, not by a path."""
    return place.lower().startswith(("http://", "https://"))


def is_named(address: str) -> bool:
    """Say whether an address is `env:NAME` or `secret:NAME`."""
    return _NAMED.fullmatch(address) is not None


def read_secrets_with(reader: Callable[[str], str]) -> None:
    """Set the function that returns the value of `secret:NAME`. It can raise `NoAddressError`."""
    _readers["secret"] = reader


def fault_of(address: str) -> str | None:
    """Return why no request can be sent to an address, without any piece of it; None if one can."""
    if is_named(address):
        return None
    if _LOGIN.match(address):
        return "must not contain a user name or password (for an @ in its path or query, give %40)"
    if not _is_valid(address):
        return "must be an http:// or https:// address"
    if _REFERENCE.fullmatch(address) and address not in _kept:
        return "was shown without its query; give the whole address"
    return None


def _is_valid(address: str) -> bool:
    try:
        scheme = urlsplit(address).scheme
    except ValueError:
        return False
    if scheme not in ("http", "https") or not address.isprintable() or " " in address:
        return False
    # It takes 0.07 s to import, and the help needs this module but checks no address.
    import requests  # noqa: PLC0415

    try:
        requests.Request("GET", address).prepare()
    except ValueError:  # a base class of requests' and urllib3's errors
        return False
    return True


def refuse_unsafe(field: str, address: str) -> None:
    """Raise an error if an address must not be a field of a source, because Prefect would store it.

    Raises:
        AddressRefusedError: If no request can be sent to the address.
        SecretAddressError: If the address has a query.
    """
    if _REFERENCE.fullmatch(address) and not _LOGIN.match(address):
        return
    fault = fault_of(address)
    if fault is not None:
        raise AddressRefusedError(field=field, fault=fault)
    if not is_named(address) and re.search("[?#]", address):
        raise SecretAddressError(field=field)


def refuse_unsafe_file(field: str, place: str) -> None:
    """Raise an error if a file is given by an address that must not be stored.

    Raises:
        AddressRefusedError, SecretAddressError: As for `refuse_unsafe`.
    """
    if "://" in place:
        refuse_unsafe(field, place)


def keep(address: str) -> str:
    """Keep the query of an address in this process, and return a reference to the address.

    An address without a query is its own reference, and so are `env:NAME` and `secret:NAME`.
    """
    if is_named(address) or _REFERENCE.fullmatch(address):
        return address
    address = address.partition("#")[0]  # a server never receives what follows
    place, _, query = address.partition("?")
    if not query:
        return place
    digest = hashlib.pbkdf2_hmac("sha256", query.encode(), place.encode(), _ROUNDS, 4).hex()
    reference = f"{place}?#{digest}"
    _kept[reference] = address
    hide(query)
    return reference


def is_unknown(address: str) -> bool:
    """Say whether an address is a reference whose query this process does not have."""
    return _REFERENCE.fullmatch(address) is not None and address not in _kept


def whole(address: str) -> str:
    """Return the whole address for a request. Its query must not be shown or stored.

    Raises:
        UnknownQueryError: If the address is a reference, and this process does not have its query.
        NoAddressError: If `env:NAME` or `secret:NAME` has no address that can be requested.
    """
    if is_unknown(address):
        raise UnknownQueryError(address=address)
    if not is_named(address):
        return _kept.get(address, address)
    value = named_value(address)
    fault = fault_of(value)
    if fault is not None or is_named(value):
        raise NoAddressError(name=address, fault=fault or "must be an address")
    return whole(keep(value))


def named_value(name: str) -> str:
    """Return the value of `env:NAME` or `secret:NAME`. It must not be shown or stored.

    Raises:
        NoAddressError: If it is not set, or cannot be read in this process.
    """
    kind, _, place = name.partition(":")
    if kind not in _readers:
        raise NoAddressError(
            name=name, fault="can be read only in a run of Prefect; elsewhere, use env:NAME"
        )
    value = _readers[kind](place).strip()
    if not value:
        raise NoAddressError(name=name, fault="is not set")
    return value


def reference_to(address: str) -> str:
    """Return the reference to an address. The value of `env:NAME` or `secret:NAME` is read.

    Raises:
        UnknownQueryError, NoAddressError: As for `whole`.
    """
    return keep(whole(address))


def _without_queries(record: logging.LogRecord) -> bool:
    record.msg, record.args = without_secrets(record.getMessage()), ()
    return True


# urllib3 writes the address of each request to its log, and Prefect can store this log.
for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_without_queries)
