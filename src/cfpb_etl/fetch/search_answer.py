"""The shape of an answer of the search API (docs/facts.md, "Shape of a response")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from cfpb_etl.fetch.http.client import decode_json, start_of
from cfpb_etl.fetch.http.errors import PartialAnswerError, UnexpectedBodyError
from cfpb_etl.model.dates import parse_date

MAX_COMPLAINTS = 2**40  # CFPB has 18 million; a larger number cannot be a count


class _Hits(msgspec.Struct):
    total: Any = None
    hits: list[msgspec.Raw] | None = None


class _Body(msgspec.Struct):
    hits: _Hits | None = None
    meta: Any = msgspec.field(name="_meta", default=None)
    shards: Any = msgspec.field(name="_shards", default=None)
    timed_out: Any = None


class _Source(msgspec.Struct):
    date_received: str


class _Hit(msgspec.Struct):
    source: _Source = msgspec.field(name="_source")


@dataclass(frozen=True)
class Answer:
    """An answer of the search API.

    Attributes:
        hits: The hits, each as JSON.
        matching: How many complaints match.
        indexed_day: The day on which the index was last written.
        newest_day: The newest day received in the whole index.
        source_total: How many complaints the index has; None if the answer does not show it.
        today: The latest plausible day.
    """

    hits: list[msgspec.Raw]
    matching: int
    indexed_day: str
    newest_day: str
    source_total: int | None
    today: str


def read_answer(body: bytearray, url: str, today: str) -> Answer:
    """Check the shape of a body (docs/facts.md, "Shape of a response") and return its values.

    Args:
        body: The body.
        url: Its URL, for errors.
        today: The latest plausible day.

    Raises:
        UnexpectedBodyError: If the body has an unexpected shape.
        PartialAnswerError: If the server searched only a part of its index.
    """
    match decode_json(body, url, _Body):
        case _Body(timed_out=True):
            raise PartialAnswerError(url, detail="the search timed out")
        case _Body(shards={"failed": int(failed)}) if failed:
            raise PartialAnswerError(url, detail=f"{failed} of its shards failed")
        case _Body(
            hits=_Hits(total={"value": int(matching)}, hits=list(hits)),
            meta={"last_indexed": str(indexed), "last_updated": str(newest), **others},
        ) if len(hits) <= matching < MAX_COMPLAINTS:
            total = others.get("total_record_count")
            total = total if type(total) is int and 0 <= total < MAX_COMPLAINTS else None
            try:
                days = parse_date(indexed), parse_date(newest)
                return Answer(hits, matching, *days, total, today)
            except ValueError as error:
                raise UnexpectedBodyError(url, detail=f"a date in _meta is {error}") from None
    raise UnexpectedBodyError(
        url,
        body_start=start_of(body),
        detail="hits.hits, hits.total.value or a date in _meta is missing or not valid",
    )


def day_of_hit(hit: msgspec.Raw, url: str) -> str:
    """Return the day received of a hit.

    Raises:
        UnexpectedBodyError: If the hit has no valid day.
    """
    text = decode_json(hit, url, _Hit).source.date_received
    try:
        return parse_date(text)
    except ValueError as error:
        raise UnexpectedBodyError(url, detail=f"the day of a hit is {error}") from None
