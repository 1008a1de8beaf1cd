"""Errors of exports."""

from __future__ import annotations

from cfpb_etl.errors import CfpbEtlError


class ExportError(CfpbEtlError):
    """Raised when an export fails; each subclass is one reason. The old target is unchanged."""

    target: str


class ForeignTargetError(ExportError):
    """Raised when the target is not an export of this program."""

    detail: str
    problem = "{target} {detail}, and was not changed"
    remedy = "Choose another target, or remove it."


class TargetNotWrittenError(ExportError):
    """Raised when the target cannot be written."""

    detail: str
    problem = "{target} could not be written: {detail}"
    remedy = "An earlier export in the same place is unchanged."


class ExportRunningError(ExportError):
    """Raised when another export writes to the same target."""

    problem = "{target} is being written by another export"
    remedy = "Wait until that export has ended."


class DifferentRowsError(ExportError):
    """Raised when the target does not have the same number of rows as the database."""

    table: str
    expected: int
    found: int
    problem = (
        "The table {table} has {expected:,} rows, and {target} would have {found:,}. Nothing was"
        " published"
    )
    remedy = "Export again. If this happens again, report it as an error of cfpb-etl."


class ExportsFailedError(ExportError):
    """Raised when a scheduled update is complete, and exports after it have failed."""

    failures: str
    problem = "The load is complete, and was not exported to {target}: {failures}"
    remedy = "The next run exports again."
