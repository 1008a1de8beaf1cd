"""Errors of exports to PostgreSQL. In each case, the export has changed nothing."""

from __future__ import annotations

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.publish.errors import DifferentRowsError, ExportError


class InvalidAddressError(CfpbEtlError):
    """Raised when an address cannot be used. The message has no piece of it."""

    problem = "The address of the PostgreSQL database is not valid"
    remedy = (
        "Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and percent-encode special characters"
        " in each of them (@ is %40, / is %2F, ? is %3F, % is %25)."
    )


class NoConnectionError(ExportError):
    """Raised when the server cannot be reached, or refuses the login."""

    detail: str
    problem = "No connection to the PostgreSQL database: {detail}"
    remedy = (
        "Check the host, the port, the database, the user and the password (a password file or"
        " PGPASSWORD), and whether the server is running."
    )


class UnsuitableServerError(ExportError):
    """Raised when a server or its database cannot take an export."""

    detail: str
    problem = "{target} cannot take an export: {detail}"
    remedy = "Choose another server or database."


class ReadOnlyServerError(ExportError):
    """Raised when the server allows only reading."""

    problem = "{target} is read-only"
    remedy = (
        "Give the address of the primary server, not of a copy. With several hosts, add"
        " ?target_session_attrs=read-write to the address. If the server is the primary, its"
        " setting default_transaction_read_only is on."
    )


class NotAllowedError(ExportError):
    """Raised when the user of the address lacks a permission."""

    detail: str
    user: str
    database: str
    problem = "{target} does not allow the export: {detail}"
    remedy = (
        "Export as the user who owns the schema cfpb. If the schema does not exist, let an"
        ' administrator run: CREATE SCHEMA cfpb AUTHORIZATION "{user}"; GRANT TEMPORARY ON'
        ' DATABASE "{database}" TO "{user}"'
    )


class ForeignSchemaError(ExportError):
    """Raised when the schema is not an export of this program, or was changed."""

    detail: str
    problem = "The schema cfpb of {target} {detail}. It was not changed"
    remedy = "Choose another database, or rename or drop the schema; then export again."


class NewerSchemaError(ExportError):
    """Raised when a newer version of this program has written the schema."""

    version: str
    problem = "The schema cfpb of {target} was written by cfpb-etl {version}, which is newer"
    remedy = "Update cfpb-etl here, or drop the schema; then export again."


class TargetInUseError(ExportError):
    """Raised when another session has locked what the export needs."""

    detail: str
    problem = "{target} is in use: {detail}"
    remedy = "Export again when the other session has ended its transaction."


class AddedObjectError(ExportError):
    """Raised when something that others have added to the schema prevents an export."""

    detail: str
    problem = (
        "Something that was added to the schema cfpb of {target} prevents the export: {detail}"
    )
    remedy = "Change or drop it, export again, and create it again."


class TimeLimitError(ExportError):
    """Raised when a time limit of the server has ended the export."""

    detail: str
    problem = "{target} has ended the export: {detail}"
    remedy = (
        "A first export of a million complaints takes seconds, of all complaints minutes. For this"
        " export alone, limits can be switched off in the address:"
        " ?options=-cstatement_timeout%3D0%20-cidle_in_transaction_session_timeout%3D0"
    )


class ConnectionLostError(ExportError):
    """Raised when the connection ends during an export."""

    detail: str
    problem = "The connection to {target} was lost: {detail}"
    remedy = "Export again when the server is running."


class DifferentValuesError(DifferentRowsError):
    """Raised when a table has the right number of rows, and not the rows of the database."""

    problem = (
        "The table {table} of {target} would have other rows than the database. Nothing was"
        " published"
    )
