"""Addresses of PostgreSQL: which are accepted, and no message has a piece of their password."""

from __future__ import annotations

import pytest

from cfpb_etl.fetch.errors import NoAddressError
from cfpb_etl.plain_text import without_secrets
from cfpb_etl.publish.postgres.address import read_address
from cfpb_etl.publish.postgres.errors import InvalidAddressError, NoConnectionError

ADDRESSES = [
    "postgresql://host/database",
    "postgres://host",
    "PostgreSQL:///database",
    "postgresql://user@host:5432/database",
    "postgresql://user:pass:word#%40%2F%3F%25@host:5432/database?sslmode=require",
    "postgresql://user:word@one:1,two:2,[::1]:3/database?target_session_attrs=read-write",
    "postgresql://%2Frun%2Fpostgresql/database",
    "postgresql:///database?host=/run/postgresql&user=me&password=a%40b",
    "postgresql:///?service=warehouse",
    "postgresql://host/d%40b?options=-c%20statement_timeout%3D0",
]
REFUSED = [
    "postgresql://user:open@sesame@host/database",
    "postgresql://user:open/sesame@host/database",
    "postgresql://user:open?sesame@host/database",
    "postgresql://user:sesame@host:12sesame/database",
    "postgresql://user:open%zzsesame@host/database",
    "postgresql://user:open sesame@host/database",
    "postgresql://user:open\0sesame@host/database",
    "postgresql://?user=me&password=open@sesame",
    "postgresql://host/database?password=open@sesame",
    "postgresql://host/database?sesame=1",
    "postgresql://host/database?password=sesame&sslmode",
    "https://user:sesame@host/database",
    "host=here password=sesame",
    "sesame",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of libpq are accepted as they are, also from a variable."""
    monkeypatch.setenv("TARGET", f" {address}\n")

    read = address.replace("PostgreSQL:", "postgresql:")
    assert read_address(address) == read_address("env:TARGET") == read


@pytest.mark.parametrize("address", REFUSED)
def test_refused_addresses(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address whose password libpq could take for something else is refused without a piece."""
    monkeypatch.setenv("TARGET", address.replace("\0", " "))
    for given in (address, "env:TARGET"):
        with pytest.raises(InvalidAddressError) as refused:
            read_address(given)

        assert "not valid. Write postgresql://USER:PASSWORD@HOST:PORT/" in str(refused.value)
        assert "sesame" not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_names_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set is named; a Secret block can be read only in a run of the flow."""
    monkeypatch.delenv("TARGET", raising=False)
    with pytest.raises(NoAddressError, match="env:TARGET has no address: it is not set"):
        read_address("env:TARGET")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:tr%C3%BCb%2Fe@host/database",
        "postgresql://host/database?user=me&password=tr%C3%BCb/e",
        "postgresql://host/database?user=me&sslpassword=tr%C3%BCb/e",
    ],
)
def test_passwords_are_hidden_everywhere(address: str) -> None:
    """After an address was read, its password is removed from every message of the process."""
    read_address(address)

    for spelling in ("trüb/e", "tr%C3%BCb%2Fe", "TR%c3%bcB%2fe", "tr\\u00fcb/e"):
        assert without_secrets(f"cannot use {spelling} here") == "cannot use … here"
        error = NoConnectionError(target="", detail=f"cannot use {spelling} here")
        assert "cannot use … here" in str(error)
