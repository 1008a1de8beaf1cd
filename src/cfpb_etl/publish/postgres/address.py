"""The addresses of PostgreSQL databases. Their passwords are never shown."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cfpb_etl.fetch.http.addresses import is_named, named_value
from cfpb_etl.plain_text import hide
from cfpb_etl.publish.postgres.errors import InvalidAddressError

if TYPE_CHECKING:
    from psycopg import ConnectionInfo

_SECRETS = ("password", "sslpassword", "oauth_client_secret")
# In an address with an @, / or ? that is not encoded, libpq takes a piece of the password for the
# host, the port or the database, and its messages show them.
_ADDRESS = re.compile(
    r"postgres(ql)?://([^/?@]*@)?[^/?@]*(/[^/?@]*)?(\?[^@]*)?", re.IGNORECASE | re.DOTALL
)
_PORTS = re.compile(r"[\d,]*", re.ASCII)


def read_address(target: str) -> str:
    """Return the address of a target, which can be `env:NAME` or `secret:NAME`.

    Its passwords are hidden in all messages of this process.

    Raises:
        InvalidAddressError: If it is not an address of PostgreSQL.
        NoAddressError: If the name has no value.
    """
    address = named_value(target) if is_named(target) else target
    if not _ADDRESS.fullmatch(address):
        raise InvalidAddressError
    scheme, _, rest = address.partition(":")
    address = f"{scheme.lower()}:{rest}"  # as libpq wants it
    try:
        options = conninfo_to_dict(address)
    except (psycopg.Error, ValueError):  # the message can repeat the password
        raise InvalidAddressError from None
    if not _PORTS.fullmatch(str(options.get("port", ""))):
        raise InvalidAddressError
    for secret in (*map(options.get, _SECRETS), os.environ.get("PGPASSWORD")):
        if secret:
            hide(str(secret))
    return address


def shown_address(info: ConnectionInfo) -> str:
    """Return the address of a connection, without the user and the password."""
    host = quote(info.host, safe=":") if "/" in info.host else info.host
    host = f"[{host}]" if ":" in host else host
    return f"postgresql://{host}:{info.port}/{quote(info.dbname, safe='')}"
