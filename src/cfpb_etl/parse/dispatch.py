"""Chooses the parser for a fetched part by the type of its content."""

from __future__ import annotations

from dataclasses import replace

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import CsvFile, ParsedContent, ParsedPart, RawPart, ReadStats
from cfpb_etl.parse.csv_process import parse_file
from cfpb_etl.parse.search_hits import parse_page


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
            content = parse_file(file, find_age=info.age is None)
        case None:
            content = ParsedContent([], Complaint._fields, (), ReadStats())
        case other:
            raise TypeError(f"There is no parser for content of type {type(other).__name__}.")
    if content.age is not None:
        name = f"{info.name} as of {content.age.as_of}"
        info = replace(info, age=content.age, name=name)
    return ParsedPart(content, raw, info)
