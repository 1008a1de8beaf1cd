"""Parses a page of search hits."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from cfpb_etl.model.complaint import NOT_STORED, Complaint
from cfpb_etl.model.part import Batch, ParsedContent, ReadStats
from cfpb_etl.parse.errors import InvalidFieldError, InvalidHitError
from cfpb_etl.parse.fast_columns import parse_columns
from cfpb_etl.parse.values import parse_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

# 500 decoded hits fit into a processor's cache. Parsing a page of 10,000 hits took 71 ms in one
# piece, and 48 ms in batches of 500.
_BATCH = 500


def parse_page(hits: Sequence[msgspec.Raw], part: str) -> ParsedContent:
    """Return the complaints of a page.

    The columns of the page are the columns that every hit has. If only some hits have a column,
    the column must not clear stored values of the other complaints.

    Args:
        hits: The hits (docs/facts.md, "Shape of a response"), each as JSON.
        part: The name of the page, for the error.

    Raises:
        InvalidHitError: If a hit is not a valid complaint. The error names the first such hit.
    """
    batches: list[Batch] = []
    columns, names = set(Complaint._fields), set[str]()
    for start in range(0, len(hits), _BATCH):
        decoded = _decoded(hits[start : start + _BATCH], part, start)
        complaints, shapes = parse_hits(decoded, part, start)
        batches.append(Batch(complaints))
        columns.intersection_update(*shapes)
        names.update(*shapes)
    unknown = names - set(Complaint._fields) - NOT_STORED
    return ParsedContent(batches, columns, unknown, ReadStats(rows=len(hits)))


def _decoded(hits: Sequence[msgspec.Raw], part: str, start: int) -> list[Any]:
    decode = msgspec.json.decode
    errors = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
    try:
        return decode(b"[%b]" % b",".join(hits), type=list[Any])
    except errors:
        decoded = []
        for place, hit in enumerate(hits, start + 1):
            try:
                decoded.append(decode(hit))
            except errors as error:
                detail = f"cannot be read: {error}"
                raise InvalidHitError(part=part, hit=place, field="JSON", detail=detail) from None
        return decoded


def parse_hits(
    hits: Sequence[Any], part: str, start: int = 0
) -> tuple[list[Complaint], set[tuple[str, ...]]]:
    """Return the complaints of some hits, and the different sets of field names in the hits.

    Args:
        hits: Some hits of a page.
        part: The name of the page, for the error.
        start: How many hits of the page come before these hits.

    Raises:
        InvalidHitError: If a hit is not a valid complaint. The error names the first such hit.
    """
    try:
        complaints, names = _parse_columns(hits)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        complaints = [parse_hit(hit, place, part) for place, hit in enumerate(hits, start + 1)]
        return complaints, {tuple(hit["_source"]) for hit in hits}
    return complaints, {names}


def _parse_columns(hits: Sequence[Any]) -> tuple[list[Complaint], tuple[str, ...]]:
    """Return the complaints and field names of hits; raise an error if the names differ."""
    sources = [hit["_source"] for hit in hits]
    names = tuple(sources[0])
    if {*map(len, sources)} != {len(names)}:
        raise ValueError
    values = zip(*map(itemgetter(*names), sources), strict=True)
    return parse_columns(dict(zip(names, values, strict=True)), len(sources)), names


def parse_hit(hit: object, place: int, part: str) -> Complaint:
    """Return the complaint of one hit.

    Args:
        hit: The hit, which has `_source` (docs/facts.md, "Shape of a response").
        place: The position of the hit on the page, from 1, for the error.
        part: The name of the page, for the error.

    Raises:
        InvalidHitError: If the hit has no `_source`, or a field is not valid.
    """
    match hit:
        case {"_source": dict(source)}:
            pass
        case _:
            raise InvalidHitError(part=part, hit=place, field="_source", detail="is missing")
    try:
        return parse_fields(source)
    except InvalidFieldError as error:
        raise InvalidHitError(
            part=part, hit=place, field=error.field, detail=error.detail
        ) from None
