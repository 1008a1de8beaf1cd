"""What a load, or a part of it, did to the database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load, or a part of it, did to the database; reports add up.

    Attributes:
        parts: Parts stored.
        rows: Complaints read.
        inserted: Of these, not known before.
        updated: Of these, known with other values.
        withdrawn: Complaints known before that their source no longer has.
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
        return self.rows - self.inserted - self.updated

    @property
    def counts(self) -> str:
        """Return what became of the complaints read, in words."""
        withdrawn = f", {self.withdrawn:,} withdrawn" if self.withdrawn else ""
        return (
            f"{self.inserted:,} inserted, {self.updated:,} updated, {self.unchanged:,} unchanged"
            f"{withdrawn}"
        )

    def __add__(self, later: LoadReport) -> LoadReport:
        return LoadReport(
            self.parts + later.parts,
            self.rows + later.rows,
            self.inserted + later.inserted,
            self.updated + later.updated,
            self.withdrawn + later.withdrawn,
            min(filter(None, (self.oldest, later.oldest)), default=None),
            max(filter(None, (self.newest, later.newest)), default=None),
            later.matching if self.matching is None else self.matching,
            self.windows + later.windows,
            self.expected + later.expected,
            self.kept + later.kept,
            self.proves_absence and later.proves_absence,
            self.unknown | later.unknown,
            self.missing | later.missing,
        )
