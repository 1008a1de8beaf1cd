"""A page of search hits becomes complaints, or an error with the place of the invalid hit."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.model.complaint import NOT_STORED, Complaint
from cfpb_etl.parse.errors import InvalidHitError
from cfpb_etl.parse.search_hits import _parse_columns, parse_hit, parse_page
from support.hits import FIELDS_15, FIELDS_16, FIELDS_17, FIELDS_18, FIELDS_19
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cfpb_etl.model.part import ParsedContent

RECORDED = os.environ.get("CFPB_ETL_RECORDINGS")


def rejected(hit: object) -> InvalidHitError:
    """Return the error of a hit."""
    with pytest.raises(InvalidHitError) as caught:
        parse_hit(hit, 7, "page 3")
    return caught.value


@pytest.mark.parametrize("fields", [FIELDS_15, FIELDS_16, FIELDS_17, FIELDS_18, FIELDS_19], ids=len)
def test_the_hits_of_every_era(fields: dict[str, Any]) -> None:
    """A hit of any release fills its columns, and the others are NULL."""
    complaint = parse_hit({"_id": "17800720", "_source": fields}, 1, "page 1")._asdict()

    expected: dict[str, Any] = {name: fields.get(name) for name in Complaint._fields} | {
        "complaint_id": 17800720,
        "date_received": "2026-06-30",
        "date_sent_to_company": "2026-07-01",
    }
    assert complaint == expected


def test_the_order_of_keys_does_not_matter() -> None:
    """The complaint is the same in any order."""
    reordered = dict(reversed(FIELDS_19.items()))

    assert parse_hit({"_source": reordered}, 1, "p") == parse_hit({"_source": FIELDS_19}, 1, "p")


@pytest.mark.skipif(not RECORDED, reason="CFPB_ETL_RECORDINGS names no folder of real answers")
@pytest.mark.parametrize(
    "name",
    [
        "api-search-2020-10-31-size25-fax-referral.json",
        "api-search-2021-12-15-size10-page1.json",
        "api-search-2024-11-06-size25.json",
    ],
)
def test_recorded_answers_are_read_completely(name: str) -> None:
    """Real hits of three years lose no value but "", and have no unknown name."""
    hits = msgspec.json.decode(Path(RECORDED or "", name).read_bytes())["hits"]["hits"]

    content = parse_page(raw(hits), name)
    complaints = complaints_of(content)

    assert content.unknown_columns == set()
    assert complaints == _parse_columns(hits)[0]
    assert len({c.complaint_id for c in complaints}) == len(hits) > 0
    for hit, complaint in zip(hits, complaints, strict=True):
        source = hit["_source"]
        assert str(complaint.complaint_id) == hit["_id"]
        for column, value in zip(Complaint._fields[1:], complaint[1:], strict=True):
            sent = source.get(column)
            assert value == (sent[:10] if sent and column.startswith("date_") else sent or None)


NO_HITS: list[object] = [None, 1, "hit", [], ["_source"], {}, {"_id": "1"}]
NO_SOURCES: list[object] = [None, [], "text", 3]


@pytest.mark.parametrize("hit", NO_HITS + [{"_source": inner} for inner in NO_SOURCES])
def test_a_hit_of_another_shape_is_rejected(hit: object) -> None:
    """A hit needs a `_source` with keys and values; the error has its place."""
    error = rejected(hit)

    assert (error.part, error.hit, error.field) == ("page 3", 7, "_source")


JSON: st.SearchStrategy[Any] = st.recursive(
    (st.none() | st.booleans() | st.integers() | st.text(max_size=8))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
HITS = JSON | st.fixed_dictionaries(
    {
        "_source": JSON
        | st.fixed_dictionaries(
            {"complaint_id": st.from_regex(r"\A[0-9]{1,21}\Z") | JSON},
            optional=dict.fromkeys(Complaint._fields[1:], st.text(max_size=8) | JSON),
        )
    }
)


@given(HITS)
@settings(deadline=None, derandomize=True, max_examples=soak(300))
def test_any_json_is_a_complaint_or_an_error(hit: object) -> None:
    """Any JSON instead of a hit is a valid complaint or raises InvalidHitError."""
    try:
        complaint = parse_hit(hit, 1, "page 1")
    except InvalidHitError:
        return
    assert 0 <= complaint.complaint_id < 2**63
    assert all(value is None or type(value) is str for value in complaint[1:])
    assert not {"", "None"}.intersection(complaint[1:])


# --- a page ---------------------------------------------------------------------------------

ERAS: list[dict[str, Any]] = [FIELDS_15, FIELDS_16, FIELDS_17, FIELDS_18, FIELDS_19]
OLD_DATES = {"date_received": "2024-11-05T12:00:00-05:00", "date_sent_to_company": "2024-11-06"}

Outcome = list[Complaint] | tuple[str, int, str, str]


def outcome(parse: Callable[[list[Any], str], list[Complaint]], hits: list[Any]) -> Outcome:
    """Return the complaints of a page, or the fields of its error."""
    try:
        return parse(hits, "page 3")
    except InvalidHitError as error:
        return error.part, error.hit, error.field, error.detail


def raw(hits: list[Any]) -> list[msgspec.Raw]:
    """Return hits as JSON."""
    return [msgspec.Raw(msgspec.json.encode(hit)) for hit in hits]


def complaints_of(content: ParsedContent) -> list[Complaint]:
    """Return the complaints of a page, in their order."""
    return [complaint for batch in content.batches for complaint in batch.complaints]


def together(hits: list[Any], part: str) -> list[Complaint]:
    """Parse the hits of a page at once."""
    return complaints_of(parse_page(raw(hits), part))


def one_by_one(hits: list[Any], part: str) -> list[Complaint]:
    """Parse the hits of a page one after the other."""
    return [parse_hit(hit, place, part) for place, hit in enumerate(hits, 1)]


def numbered(*fields: dict[str, Any]) -> list[Any]:
    """Return hits with different ids, of different lengths."""
    return [
        {"_source": each | {"complaint_id": str(9_999_998 + place)}}
        for place, each in enumerate(fields)
    ]


@pytest.mark.parametrize(
    "hits",
    [
        numbered(FIELDS_15),
        numbered(*[FIELDS_15 | OLD_DATES] * 3),
        numbered(FIELDS_16, FIELDS_16 | {"complaint_what_happened": "", "tags": "None"}),
        numbered(FIELDS_15, FIELDS_15 | {"date_received": "", "date_sent_to_company": None}),
        numbered(FIELDS_15 | {"event_tag": ["x"]}),
        [{"_source": FIELDS_15 | {"complaint_id": "9" * 18}}],
    ],
    ids=["one", "old dates", "nothing", "no date", "unknown", "long id"],
)
def test_an_ordinary_page_is_parsed_by_columns(hits: list[Any]) -> None:
    """Pages such as CFPB has sent are parsed the fast way, with the same result."""
    assert _parse_columns(hits)[0] == together(hits, "page 3") == one_by_one(hits, "page 3")


ODD_IDS = ["0", "007", "-7", " 7", "7\n", "\u0667", "\xb2", "1\u0667", "None", "x", "", "9" * 5_000]
LONG_IDS = [str(2**63 - 1), str(2**63), "1" * 18, "1" * 19, "0" * 19]
ODD_DATES = [
    "9/24/19",
    "2026-08-14\n2026-08-15",
    "2026-02-29",
    "2026-13-01",
    "20260814",
    "2026-08-14\n",
    "\uff12026-08-14",
]
ODD_VALUES: list[Any] = [0, 1, 1.0, True, 2139, [], ["a"], {}, {"a": [None]}, ["None"]]
NOTHING = [None, "", "None"]
TEXTS = ["CA", "None of it", "null", "a\0b", " ", "Traveler’s/Cashier’s checks"]


def changed_in(fields: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return hits mostly like this one, with some values that no release has sent."""
    odd = {
        name: st.sampled_from(NOTHING + TEXTS + ODD_VALUES) for name in Complaint._fields[1:]
    } | {
        "complaint_id": st.integers(1, 10**19).map(str)
        | st.sampled_from(ODD_IDS + LONG_IDS + ODD_VALUES + NOTHING),
        "date_received": st.dates().map(date.isoformat)
        | st.sampled_from([*OLD_DATES.values(), *ODD_DATES, *NOTHING, *ODD_VALUES]),
        "date_sent_to_company": st.sampled_from([*OLD_DATES.values(), *ODD_DATES, *NOTHING]),
    }

    def hit_with(names: list[str]) -> st.SearchStrategy[Any]:
        values = st.fixed_dictionaries({name: odd[name] for name in names})
        return values.map(lambda changes: {"_source": fields | changes})

    return st.lists(st.sampled_from(Complaint._fields), max_size=2, unique=True).flatmap(hit_with)


ORDINARY = st.builds(
    lambda fields, number: {"_source": fields | {"complaint_id": str(number)}},
    st.sampled_from([*ERAS, FIELDS_15 | OLD_DATES]),
    st.integers(1, 10**12),
)
PAGES = st.lists(ORDINARY | st.sampled_from(ERAS).flatmap(changed_in), max_size=4) | st.lists(
    ORDINARY | HITS, max_size=3
)


@given(PAGES)
@settings(deadline=None, derandomize=True, max_examples=soak(150, 5_000))
def test_a_page_is_parsed_as_single_hits(hits: list[Any]) -> None:
    """A page has the complaints of its single hits, or the error of the first invalid one."""
    assert outcome(together, hits) == outcome(one_by_one, hits)


def unusual_hits() -> Iterator[Any]:
    """Yield hits with one unusual value each, valid or not."""
    for value in [*ODD_IDS, *LONG_IDS, *ODD_VALUES, *NOTHING]:
        yield {"_source": FIELDS_19 | {"complaint_id": value}}
    for field in Complaint._fields[1:]:
        for value in [*NOTHING, *ODD_VALUES]:
            yield {"_source": FIELDS_19 | {field: value}}
    for field in ("date_received", "date_sent_to_company"):
        for value in ODD_DATES:
            yield {"_source": FIELDS_19 | {field: value}}
    for field in Complaint._fields:
        yield {"_source": {name: FIELDS_19[name] for name in FIELDS_19 if name != field}}
    yield from NO_HITS
    yield from ({"_source": inner} for inner in NO_SOURCES)


def test_one_unusual_hit_on_a_page() -> None:
    """Between ordinary hits it is parsed, or rejected with its place and field, as if alone."""
    before, after = numbered(FIELDS_15, FIELDS_18 | OLD_DATES)

    fields = set[str]()
    for hit in unusual_hits():
        page = [before, hit, after]
        result = outcome(together, page)
        assert result == outcome(one_by_one, page)
        if isinstance(result, tuple):
            assert result[:2] == ("page 3", 2)
            fields.add(result[2])
    assert fields == {"_source", *Complaint._fields}


def test_the_first_of_two_invalid_hits() -> None:
    """The error is about the first invalid hit of a page, in any of its fields."""
    wrong_state = {"_source": FIELDS_15 | {"state": 7}}
    wrong_id = {"_source": FIELDS_15 | {"complaint_id": "007"}}

    errors = [
        outcome(together, [*numbered(FIELDS_15), *odd])
        for odd in ([wrong_state, wrong_id], [wrong_id, wrong_state])
    ]
    assert [each[1:3] for each in errors] == [(2, "state"), (2, "complaint_id")]


@pytest.mark.parametrize(
    ("hit", "field", "problem"),
    [
        (b'{"_source": {"state": "\xff"}}', "JSON", "cannot be read: .*utf-8"),
        (b'{"_source": {"state": 1e999}}', "JSON", "cannot be read: .*out of range"),
        (b'{"_source": {}}', "complaint_id", "is missing"),
    ],
)
def test_the_place_of_a_late_hit(hit: bytes, field: str, problem: str) -> None:
    """A page is parsed in batches, and the error has the place on the whole page."""
    page = raw(numbered(*[FIELDS_15] * 1_300))
    page[1_202] = msgspec.Raw(hit)

    with pytest.raises(InvalidHitError, match=problem) as caught:
        parse_page(page, "page 3")

    assert (caught.value.hit, caught.value.field) == (1_203, field)


def test_a_page_of_several_batches() -> None:
    """Complaints keep their order, and a column counts if every hit has it."""
    page = numbered(*[FIELDS_18] * 700, *[FIELDS_15] * 600)

    content = parse_page(raw(page), "page 3")

    assert [len(batch.complaints) for batch in content.batches] == [500, 500, 300]
    assert complaints_of(content) == one_by_one(page, "page 3")
    assert content.columns == set(FIELDS_15)


def columns_of(*fields: dict[str, Any]) -> Collection[str]:
    """Return the columns of a page."""
    return parse_page(raw([{"_source": each} for each in fields]), "page 3").columns


def unknown_in(*fields: dict[str, Any]) -> Collection[str]:
    """Return the unknown names on a page."""
    return parse_page(raw([{"_source": each} for each in fields]), "page 3").unknown_columns


def test_a_column_of_a_page_is_in_every_hit() -> None:
    """A page that mixes eras has the columns of all its hits, also with null values."""
    narrative = FIELDS_16 | {"complaint_what_happened": None}

    assert columns_of(narrative, narrative) == set(FIELDS_16)
    assert columns_of(narrative, FIELDS_15) == set(FIELDS_15)
    assert columns_of(FIELDS_15, narrative) == set(FIELDS_15)


def test_other_names_are_not_columns() -> None:
    """Names that are unknown or not stored are not columns."""
    assert columns_of(FIELDS_19 | {"event_tag": "x"}) == set(FIELDS_18)


def test_unknown_names_are_those_of_any_hit() -> None:
    """A name that no release has used is reported; names that are not stored are not."""
    known = FIELDS_19 | dict.fromkeys(NOT_STORED)

    assert unknown_in(known) == set()
    assert unknown_in() == set()
    tagged = {"complaint_id": "1", "Tags": 1}
    assert unknown_in(known, known | {"event_tag": 1}, tagged) == {"event_tag", "Tags"}
    assert unknown_in(tagged, tagged) == {"Tags"}
