"""What a load, or a part of it, did to the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.schemas.objects import FlowRun

MOST_REMARKS = 20


# Prefect tells a task's result from what takes its place in memory by a weak reference to it.
@dataclass(frozen=True, slots=True, weakref_slot=True)
class LoadReport:
    """What a load, or a part of it, did to the database; reports add up.

    Attributes:
        parts: Parts stored.
        rows: Complaints read.
        inserted: Of these, not known before.
        updated: Of these, known with other values.
        withdrawn: Complaints known before that their source no longer has.
        left_out: Of those read, not known before and not stored: a source that only adds to what
            others brought has them, and the database is a partial pull.
        repeated: Of those read, whose id came before in the same file; the later copy counts.
        rejected: Rows of files that cannot be complaints.
        nameless: Of these, rows that do not tell which complaint they are of.
        headers: Rows of files that repeat the header.
        remarks: The first of what was odd in the files, each with its line; None for nothing. To
            Prefect every empty tuple is the same, and a query that holds one came of this.
        known_files: Files that were not read, since the database holds this very version of them.
        oldest: Earliest day received among those read, or None.
        newest: Latest day received among those read, or None.
        matching: How many complaints the source said match, when it was first asked.
        windows: Windows of days, or files, that were read to their end.
        expected: How many complaints the source counted in these, at their end.
        kept: How many distinct ones of these came.
        proves_absence: Whether a complaint that these windows do not hold is gone.
        unknown: Names in what came that are no column here.
        missing: Columns that every release has sent so far, and a part did not.
    """

    parts: int = 0
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    withdrawn: int = 0
    left_out: int = 0
    repeated: int = 0
    rejected: int = 0
    nameless: int = 0
    headers: int = 0
    remarks: tuple[str, ...] | None = None
    known_files: int = 0
    oldest: str | None = None
    newest: str | None = None
    matching: int | None = None
    windows: int = 0
    expected: int = 0
    kept: int = 0
    proves_absence: bool = True
    unknown: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    @property
    def unchanged(self) -> int:
        """Complaints read that the database held just so."""
        return self.rows - self.inserted - self.updated - self.left_out

    @property
    def counts(self) -> str:
        """Return what became of the complaints read, in words."""
        counts = (
            f"{self.inserted:,} inserted, {self.updated:,} updated, {self.unchanged:,} unchanged"
        )
        for number, what in (
            (self.withdrawn, "withdrawn"),
            (self.left_out, "left out"),
            (self.rejected, "rejected"),
        ):
            counts += f", {number:,} {what}" if number else ""
        return counts

    @property
    def warnings(self) -> list[str]:
        """What a person should know of it, a line each."""
        lines = [
            f"{what}: {', '.join(sorted(names))}"
            for what, names in (
                ("CFPB sends what this version has no column for", self.unknown),
                ("CFPB no longer sends, so that new complaints lack", self.missing),
            )
            if names
        ]
        if self.left_out:
            lines.append(
                f"{self.left_out:,} complaints that only the archive has were left out, since the"
                " database is a partial pull; load --source bulk before the archive to have them"
            )
        lines += self.remarks or ()
        if self.nameless:
            lines.append(
                "Nothing was marked as withdrawn: rejected rows that do not tell their complaint,"
                f" {self.nameless:,}, may be of any that seems to be gone"
            )
        return lines

    def __add__(self, later: LoadReport) -> LoadReport:
        return LoadReport(
            parts=self.parts + later.parts,
            rows=self.rows + later.rows,
            inserted=self.inserted + later.inserted,
            updated=self.updated + later.updated,
            withdrawn=self.withdrawn + later.withdrawn,
            left_out=self.left_out + later.left_out,
            repeated=self.repeated + later.repeated,
            rejected=self.rejected + later.rejected,
            nameless=self.nameless + later.nameless,
            headers=self.headers + later.headers,
            remarks=((self.remarks or ()) + (later.remarks or ()))[:MOST_REMARKS] or None,
            known_files=self.known_files + later.known_files,
            oldest=min(filter(None, (self.oldest, later.oldest)), default=None),
            newest=max(filter(None, (self.newest, later.newest)), default=None),
            matching=later.matching if self.matching is None else self.matching,
            windows=self.windows + later.windows,
            expected=self.expected + later.expected,
            kept=self.kept + later.kept,
            proves_absence=self.proves_absence and later.proves_absence,
            unknown=self.unknown | later.unknown,
            missing=self.missing | later.missing,
        )


_AGAIN = "Run the same command again"


def how_to_repeat(run: FlowRun | None) -> str:
    """Return how a run is repeated: that of a deployment was started by no command of ours."""
    if run is None or run.deployment_id is None:
        return _AGAIN
    return f"Run it again with `prefect flow-run retry {run.id}`"


def what_is_kept(rows: int, database: Path, *, limited: bool, again: str = _AGAIN) -> str:
    """Return what a load that did not end well leaves, and what the next run does.

    Args:
        rows: How many complaints it stored.
        database: Where.
        limited: Whether only so many of the newest were asked for: these are always read anew.
        again: How a run is repeated.
    """
    if not rows:
        return "Nothing was stored."
    goes_on = "it starts over" if limited else "it goes on from there"
    return f"Kept: {rows:,} complaints in {database}. {again}: {goes_on}, and stores nothing twice."
