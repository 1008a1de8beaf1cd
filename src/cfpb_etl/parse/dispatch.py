"""Chooses the parser for a fetched part by the type of its content."""

from __future__ import annotations

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.file import CsvFile
from cfpb_etl.model.part import ParsedContent, ParsedPart, RawPart, ReadStats
from cfpb_etl.parse.csv_process import parse_file
from cfpb_etl.parse.search_hits import parse_page
from cfpb_etl.parse.survey import survey_file


def parse_part(raw: RawPart) -> ParsedPart:
    """Parse a fetched part with the parser for the type of its content.

    Raises:
        InvalidHitError: If a hit of a page is not a valid complaint.
        FileError: If a file is not a valid file of complaints; each subclass is one reason.
    """
    info = raw.info
    match raw.take_content():
        case list(hits):
            content = parse_page(hits, info.name)
        case CsvFile() as file:
            content = parse_file(file)
            if file.stored_until is not None:
                content = content._replace(survey=survey_file(file))
        case None:
            content = ParsedContent([], Complaint._fields, (), ReadStats())
        case other:
            raise TypeError(f"There is no parser for content of type {type(other).__name__}.")
    return ParsedPart(content, raw, info)
