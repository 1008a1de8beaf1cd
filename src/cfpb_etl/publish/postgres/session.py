"""The connection of an export: one transaction, and errors with a remedy."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import make_conninfo

from cfpb_etl.model.events import Progress, emit
from cfpb_etl.publish.errors import ExportError, TargetNotWrittenError
from cfpb_etl.publish.postgres.address import read_address, shown_address
from cfpb_etl.publish.postgres.errors import (
    AddedObjectError,
    ConnectionLostError,
    NoConnectionError,
    NotAllowedError,
    ReadOnlyServerError,
    TargetInUseError,
    TimeLimitError,
    UnsuitableServerError,
)
from cfpb_etl.publish.postgres.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator
_OLDEST = 120_000  # PostgreSQL 12
_SECONDS_TO_CONNECT = 30
_SECONDS_TO_WAIT = 30  # for locks, as for those of SQLite
_LOCK = int.from_bytes(b"cfpb-etl", "big")  # of an advisory lock, one in each database
_NAMED: tuple[tuple[tuple[type[psycopg.Error], ...], type[ExportError]], ...] = (
    ((pg.ReadOnlySqlTransaction,), ReadOnlyServerError),
    ((pg.InsufficientPrivilege,), NotAllowedError),
    ((pg.LockNotAvailable, pg.DeadlockDetected), TargetInUseError),
    ((pg.QueryCanceled, pg.IdleInTransactionSessionTimeout, pg.TransactionTimeout), TimeLimitError),
    ((psycopg.IntegrityError, pg.DependentObjectsStillExist), AddedObjectError),
)


class Target(NamedTuple):
    """A PostgreSQL database in a transaction that no other export can disturb.

    Attributes:
        connection: The connection.
        name: The address, without the user and the password.
    """

    connection: psycopg.Connection
    name: str


@contextmanager
def open_target(address: str) -> Iterator[Target]:
    """Open a transaction that is committed at the end of the block, or rolled back if it fails.

    Raises:
        InvalidAddressError, NoAddressError: If the address cannot be used.
        ExportError: If the server cannot take the export; each subclass is one reason.
    """
    with _connect(read_address(address)) as connection:
        target = Target(connection, shown_address(connection.info))
        _refuse_unsuitable(target)
        with _named_errors(target), connection.transaction():
            _prepare(connection)
            _lock(target)
            yield target


def _connect(address: str) -> psycopg.Connection:
    is_set = "connect_timeout=" in address or "PGCONNECT_TIMEOUT" in os.environ
    try:
        timed = address if is_set else make_conninfo(address, connect_timeout=_SECONDS_TO_CONNECT)
        connection = psycopg.connect(
            timed,
            autocommit=True,  # `transaction` begins and ends the transaction
            prepare_threshold=None,  # connection poolers keep no prepared statements
            client_encoding="utf8",
            fallback_application_name="cfpb-etl",
        )
    except (psycopg.Error, ValueError) as error:
        detail = " ".join(str(error).split()).removeprefix("connection failed: ").rstrip("?")
        raise NoConnectionError(target="", detail=detail) from None
    # At a higher level, an export that has waited for another one would not see its rows.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    return connection


def _refuse_unsuitable(target: Target) -> None:
    info = target.connection.info
    if info.server_version < _OLDEST:
        version = info.parameter_status("server_version")
        detail = f"its version is {version}, and PostgreSQL 12 or later is needed"
        raise UnsuitableServerError(target=target.name, detail=detail)
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        detail = f"its encoding is {encoding}, and UTF8 is needed"
        raise UnsuitableServerError(target=target.name, detail=detail)


def _prepare(connection: psycopg.Connection) -> None:
    (is_read_only,) = _row(connection, "SHOW transaction_read_only")
    if is_read_only == "on":
        raise pg.ReadOnlySqlTransaction
    connection.execute("SET LOCAL datestyle TO 'ISO, YMD'")  # days are compared as texts
    connection.execute("SET LOCAL quote_all_identifiers TO off")
    # Names of the views and indexes mean our tables, whatever the user's own search path is.
    connection.execute(f"SET LOCAL search_path TO {SCHEMA}, pg_temp")
    connection.execute(f"SET LOCAL lock_timeout TO '{_SECONDS_TO_WAIT}s'")
    # If this process is killed, the server then ends its transaction within a second. Some systems
    # do not support this.
    with suppress(psycopg.DatabaseError), connection.transaction():
        connection.execute("SET LOCAL client_connection_check_interval TO '1s'")


def _lock(target: Target) -> None:
    """Wait until no other export to the database runs."""
    connection = target.connection
    (is_free,) = _row(connection, f"SELECT pg_try_advisory_xact_lock({_LOCK})")
    if is_free:
        return
    emit(Progress("Waiting for another export", "", None))
    (other,) = _row(
        connection,
        "SELECT STRING_AGG(FORMAT('process %s', pid), ', ') FROM pg_locks"
        f" WHERE locktype = 'advisory' AND granted AND classid = {_LOCK >> 32}"
        f" AND objid = {_LOCK & 0xFFFFFFFF}",
    )
    try:
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    except pg.LockNotAvailable:
        detail = f"another export is running ({other or 'ended just now'})"
        raise TargetInUseError(target=target.name, detail=detail) from None


def _row(connection: psycopg.Connection, query: str) -> tuple[object, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101 - each query returns one row
    return row


@contextmanager
def _named_errors(target: Target) -> Iterator[None]:
    """Convert psycopg's errors to errors of this package."""
    try:
        yield
    except psycopg.Error as error:
        raise _named(error, target) from None


def _named(error: psycopg.Error, target: Target) -> ExportError:
    info = target.connection.info
    fields = {"detail": _detail(error), "user": info.user, "database": info.dbname}
    named = next((named for kinds, named in _NAMED if isinstance(error, kinds)), None)
    if named is None and _is_of_function(error):
        named = AddedObjectError
    elif named is None and target.connection.broken:
        named = ConnectionLostError
    return (named or TargetNotWrittenError)(target=target.name, **fields)


def _is_of_function(error: psycopg.Error) -> bool:
    """Say whether a function has failed, such as one of a trigger. This program creates none."""
    return isinstance(error, pg.RaiseException) or "function" in (error.diag.context or "")


def _detail(error: psycopg.Error) -> str:
    texts = (error.diag.message_primary, error.diag.message_detail)
    text = ". ".join(filter(None, texts)) or str(error)
    return " ".join(text.split()).rstrip(".")
