"""Filters of complaints as SQL conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cfpb_etl.model.query import Query

_BETWEEN_LEVELS = (
    "•"  # of a product and its sub-product (docs/facts.md, "Product and issue filters")
)


def conditions_of(query: Query) -> tuple[list[str], list[str]]:
    """Return conditions on rows of `complaint`, all of which must hold, and their values.

    Product and issue filters match as in CFPB's search (docs/facts.md, "Product and issue
    filters"). Search words must all be in the narrative, the only text that the database can
    search. Characters that are not part of a word separate words: `identity-theft` matches these
    two words, if they follow each other.
    """
    conditions, values = [], []
    for condition, day in (
        ("date_received >= ?", query.since),
        ("date_received <= ?", query.until),
        ("timely = ?", query.timely),
    ):
        if day is not None:
            conditions.append(condition)
            values.append(day)
    for columns, wanted in (
        (("state",), query.state),
        (("company",), query.company),
        (("product", "sub_product"), query.product),
        (("issue", "sub_issue"), query.issue),
        (("tags",), query.tag),
        (("zip_code",), query.zip_code),
        (("submitted_via",), query.submitted_via),
        (("company_response",), query.company_response),
    ):
        if wanted:
            condition, matching = _one_of(columns, wanted)
            conditions.append(condition)
            values += matching
    if query.search is not None:
        conditions.append(
            "complaint_id IN (SELECT rowid FROM narrative_search WHERE narrative_search MATCH ?)"
        )
        # In quotes, no character of a word has a meaning of its own.
        quoted = (word.replace('"', '""') for word in query.search.split())
        values.append(" ".join(f'"{word}"' for word in quoted))
    return conditions, values


def _one_of(columns: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the condition that one of some texts matches, and its values.

    SQLite allows 1,000 conditions that are joined by OR, and more values in one list.
    """
    split = [each.split(_BETWEEN_LEVELS, len(columns) - 1) for each in wanted]
    divided = {first for first, *second in split if second}
    # If a product and one of its sub-products are wanted, CFPB counts only the sub-product.
    whole = [first for first, *second in split if not second and first not in divided]
    pairs = [each for each in split if len(each) > 1]
    conditions = []
    if whole:
        conditions.append(f"{columns[0]} IN ({', '.join('?' * len(whole))})")
    if pairs:
        conditions.append(
            f"({', '.join(columns)}) IN (VALUES {', '.join(['(?, ?)'] * len(pairs))})"
        )
    return f"({' OR '.join(conditions)})", [*whole, *(text for pair in pairs for text in pair)]
