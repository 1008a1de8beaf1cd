"""The first reading of a file, which shows whether the file is newer than the stored data."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from cfpb_etl.fetch.csv_file import open_csv
from cfpb_etl.model.age import NewestDays, newest_of, oldest_of
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.file import Survey
from cfpb_etl.parse.csv_rows import ComplaintRows

if TYPE_CHECKING:
    from cfpb_etl.model.file import CsvFile

_RECEIVED, _SENT = map(Complaint._fields.index, ("date_received", "date_sent_to_company"))


def survey_file(file: CsvFile) -> Survey:
    """Read a file until a day received is newer than all stored data; otherwise to its end.

    CFPB writes new complaints first (docs/facts.md, "Order of the daily file"), so only a file that
    is not newer than the stored data is read to its end.

    Raises:
        FileError: If the file is not a valid file of complaints; each subclass is one reason.
    """
    survey, received, sent = Survey(), set[str | None](), set[str | None]()
    today = file.options.today
    with open_csv(file.path) as (lines, _, _):
        rows = ComplaintRows(lines, file.path, file.options)
        for complaints, _ in rows:
            received.update(map(itemgetter(_RECEIVED), complaints))
            sent.update(map(itemgetter(_SENT), complaints))
            survey.scope.add(complaints)
            newest = newest_of(received, today)
            survey.newest = NewestDays(newest, newest_of({newest, *sent}, today))
            if newest is not None and newest > (file.stored_until or ""):
                return survey
    rows.check_rejected()
    survey.oldest = oldest_of(received)
    survey.is_complete = True
    return survey
