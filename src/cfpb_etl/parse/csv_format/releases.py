"""Finds rows that have the columns of another release of CFPB than the header of their file.

CFPB appends the rows of the day before to the rows of a new day, below one header. So on the day of
a release, the header can have one column more or less than some rows (docs/facts.md, "Order of the
daily file").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.model.complaint import RELEASES
from cfpb_etl.parse.csv_format.header import Header
from cfpb_etl.parse.errors import MixedReleasesError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# On the day of a release, thousands of rows have other columns than the header. A single such row
# can be a row that has lost a field.
_MAX_ROWS = 10


class OtherRelease:
    """The rows of a file that have the columns of another release.

    Args:
        header: The header of the file.
        path: The file, for the error.
    """

    def __init__(self, header: Header, path: Path) -> None:
        self._header = header
        self._path = path
        self._others = [
            Header(titles, path)
            for titles in RELEASES
            if header.is_cfpbs and len(titles) != header.width
        ]
        self._rows = 0
        self._first = (0, 0)

    def note(self, row: Sequence[str], line: int) -> None:
        """Note a row that does not have as many fields as the header.

        Raises:
            MixedReleasesError: If too many rows have the columns of another release.
        """
        if any(each.is_complaint(row) for each in self._others):
            self._first = self._first if self._rows else (line, len(row))
            self._rows += 1
            self.check(_MAX_ROWS)

    def check(self, most: float) -> None:
        """Raise an error if more rows than `most` have the columns of another release."""
        if self._rows > most:
            line, fields = self._first
            raise MixedReleasesError(
                path=self._path, line=line, fields=fields, titles=self._header.width
            )
