"""What of a search hit becomes a complaint, and what is refused with the place where it stood."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.model.complaint import NOT_STORED, Complaint
from cfpb_etl.model.dates import parse_date
from cfpb_etl.parse.errors import InvalidHitError
from cfpb_etl.parse.search_hits import _parse_columns, parse_hit, parse_page
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cfpb_etl.model.part import ParsedContent

RECORDED = os.environ.get("CFPB_ETL_RECORDINGS")

FIELDS_15 = {
    "complaint_id": "17800720",
    "date_received": "2026-06-30T23:45:02.000Z",
    "product": "Checking or savings account",
    "sub_product": "Traveler’s/Cashier’s checks",
    "issue": "Closing an account",
    "sub_issue": None,
    "company_public_response": None,
    "company": "M&T BANK, N.A.",
    "state": "MA",
    "zip_code": "02139",
    "tags": "Older American, Servicemember",
    "submitted_via": "Web Referral",
    "date_sent_to_company": "2026-07-01T00:10:00.000Z",
    "company_response": "In progress",
    "timely": "Yes",
}
FIELDS_16 = FIELDS_15 | {"complaint_what_happened": "They kept {$120.00}.\nXXXX"}
FIELDS_17 = FIELDS_16 | {"has_narrative": True}
FIELDS_18 = FIELDS_16 | {"consumer_consent_provided": "N/A", "consumer_disputed": "No"}
FIELDS_19 = FIELDS_18 | {"has_narrative": True}


def parsed(**changed: object) -> Complaint:
    """Parse a hit of today with some fields changed or added."""
    return parse_hit({"_source": FIELDS_15 | changed}, 1, "page 1")


def refused(hit: object) -> InvalidHitError:
    """Return the error that a hit is refused with."""
    with pytest.raises(InvalidHitError) as caught:
        parse_hit(hit, 7, "page 3")
    return caught.value


@pytest.mark.parametrize("fields", [FIELDS_15, FIELDS_16, FIELDS_17, FIELDS_18, FIELDS_19], ids=len)
def test_every_era_keeps_what_it_carries(fields: dict[str, Any]) -> None:
    """A hit of any release fills the columns that it carries, and leaves the others NULL."""
    complaint = parse_hit({"_id": "17800720", "_source": fields}, 1, "page 1")._asdict()

    expected: dict[str, Any] = {name: fields.get(name) for name in Complaint._fields} | {
        "complaint_id": 17800720,
        "date_received": "2026-06-30",
        "date_sent_to_company": "2026-07-01",
    }
    assert complaint == expected


def test_key_order_does_not_matter() -> None:
    """The index orders the keys as it likes, and the complaint is the same."""
    turned = dict(reversed(FIELDS_19.items()))

    assert parse_hit({"_source": turned}, 1, "p") == parse_hit({"_source": FIELDS_19}, 1, "p")


@pytest.mark.skipif(not RECORDED, reason="CFPB_ETL_RECORDINGS names no folder of real answers")
@pytest.mark.parametrize(
    "name",
    [
        "api-search-2020-10-31-size25-fax-referral.json",
        "api-search-2021-12-15-size10-page1.json",
        "api-search-2024-11-06-size25.json",
    ],
)
def test_recorded_answers_are_read_whole(name: str) -> None:
    """Real hits of three years lose no value but "", and show no name that we do not know."""
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


# --- dates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-08-14", "2026-08-14"),
        ("2024-11-05T12:00:00-05:00", "2024-11-05"),
        ("2024-05-14T12:00:00-05:00", "2024-05-14"),
        ("2023-03-11T14:26:56.000Z", "2023-03-11"),
        ("2026-06-30T23:45:02.000Z", "2026-06-30"),
        ("2026-06-30T23:45:02Z", "2026-06-30"),
        ("2024-02-29", "2024-02-29"),
    ],
)
def test_date_spellings(text: str, day: str) -> None:
    """Each spelling gives the day as it is written."""
    assert parse_date(text) == day


@given(
    day=st.dates(),
    clock=st.times(),
    zone=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=14))]),
)
@settings(deadline=None, derandomize=True, max_examples=soak(150))
def test_no_zone_moves_the_day(day: date, clock: time, zone: timezone) -> None:
    """Whatever the hour and the offset, the day that is written is the day that is stored."""
    moment = datetime.combine(day, clock, zone).isoformat(timespec="milliseconds")

    assert parse_date(moment) == parse_date(moment.replace("+00:00", "Z")) == day.isoformat()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "9/24/19",
        "20260814",
        "2026-8-14",
        "2026-W40-1",
        "2026-13-01",
        "2026-02-29",
        "2100-02-29",
        "0000-01-01",
        "2026-08-14\n",
        " 2026-08-14",
        "2026-08-14 12:00:00",
        "2026-08-14T12:00",
        "2026-08-14T",
        "2026-08-14T12:00:00.Z",
        "\uff12026-08-14",  # begins with a full-width 2
        "2026-08-14T12:00:00-05:00Z",
        "-026-08-14",
    ],
)
def test_other_dates_are_refused(text: str) -> None:
    """What is none of the three spellings, or no day of the calendar, is no date."""
    with pytest.raises(ValueError, match=r"not a date|month|day|year"):
        parse_date(text)


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d{2}-\d{2}.{0,3}"))
@settings(deadline=None, derandomize=True, max_examples=soak(200))
def test_a_date_is_a_day_of_the_calendar_or_a_value_error(text: str) -> None:
    """No text at all gives anything but a real day, which begins the text, or a ValueError."""
    try:
        day = parse_date(text)
    except ValueError:
        return
    assert date.fromisoformat(day).isoformat() == day == text[:10]


@pytest.mark.parametrize("field", ["date_received", "date_sent_to_company"])
def test_a_wrong_date_names_its_field(field: str) -> None:
    """Both dates are checked, and the error says which of them was wrong."""
    error = refused({"_source": FIELDS_15 | {field: "2026-02-30"}})

    assert (error.field, error.hit, error.part) == (field, 7, "page 3")
    assert "2026-02-30" in str(error)


# --- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [None, "", "None"])
@pytest.mark.parametrize("field", Complaint._fields[1:])
def test_each_spelling_of_nothing_is_null(field: str, empty: str | None) -> None:
    """A null, an empty text and the CSV's "None" are all NULL, in dates too."""
    assert getattr(parsed(**{field: empty}), field) is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("consumer_disputed", "N/A"),
        ("consumer_consent_provided", "N/A"),
        ("zip_code", "02139"),
        ("zip_code", "391XX"),
        ("tags", "Older American, Servicemember"),
        ("state", "UNITED STATES MINOR OUTLYING ISLANDS"),
        ("sub_product", "Traveler’s/Cashier’s checks"),
        ("company", "null"),
        ("complaint_what_happened", "one\r\ntwo\n  three "),
        ("complaint_what_happened", "x" * 200_000),
        ("complaint_what_happened", "None of it was mine"),
        ("issue", "a\0b"),
    ],
)
def test_text_is_kept_as_it_is(field: str, text: str) -> None:
    """Text is text: nothing is stripped, split, shortened or taken for a number or null."""
    assert getattr(parsed(**{field: text}), field) == text


@pytest.mark.parametrize("value", [0, 2139, 1.5, True, [], ["a"], {}, {"a": None}])
@pytest.mark.parametrize("field", Complaint._fields[1:])
def test_a_value_of_another_type_names_hit_and_field(field: str, value: object) -> None:
    """Only text and null are values; anything else is refused by its place and name."""
    error = refused({"_source": FIELDS_15 | {field: value}})

    assert (error.part, error.hit, error.field) == ("page 3", 7, field)
    assert repr(value) in error.detail


def test_a_huge_value_makes_a_short_message() -> None:
    """An error quotes the beginning of a wrong value, not a megabyte, and survives its depth."""
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]

    assert len(str(refused({"_source": FIELDS_15 | {"company": ["x" * 10**6] * 99}}))) < 400
    assert len(str(refused({"_source": FIELDS_15 | {"company": deep}}))) < 400
    assert len(str(refused({"_source": FIELDS_15 | {"complaint_id": deep}}))) < 400
    assert len(str(refused({"_source": FIELDS_15 | {"complaint_id": "9" * 10**6}}))) < 400
    assert len(str(refused({"_source": FIELDS_15 | {"date_received": "9" * 10**6}}))) < 400


# --- ids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["0", "7", "17800720", str(2**63 - 1)])
def test_an_id_is_a_plain_number_in_text(spelled: str) -> None:
    """Ids up to the largest that SQLite holds become that number."""
    assert parsed(complaint_id=spelled).complaint_id == int(spelled)


@pytest.mark.parametrize(
    ("spelled", "problem"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("None", "not a plain number"),
        (17800720, "not a plain number"),
        (True, "not a plain number"),
        (["1"], "not a plain number"),
        ({}, "not a plain number"),
        ("007", "not a plain number"),
        ("-7", "not a plain number"),
        ("+7", "not a plain number"),
        ("1_000", "not a plain number"),
        ("7.0", "not a plain number"),
        ("7e3", "not a plain number"),
        (" 7", "not a plain number"),
        ("7\n", "not a plain number"),
        ("\u0667", "not a plain number"),
        ("\uff17", "not a plain number"),
        ("\xb2", "not a plain number"),
        ("1\u0667", "not a plain number"),
        (str(2**63), "too large"),
        ("9" * 5_000, "too large"),
    ],
)
def test_other_ids_are_refused(spelled: object, problem: str) -> None:
    """What could be another complaint's id, or is none, stops the page with its reason."""
    error = refused({"_source": FIELDS_15 | {"complaint_id": spelled}})

    assert error.field == "complaint_id"
    assert problem in error.detail


def test_a_hit_without_an_id_is_refused() -> None:
    """The key itself may be missing, which is said as such."""
    fields = {name: value for name, value in FIELDS_15.items() if name != "complaint_id"}

    assert refused({"_source": fields}).detail == "is missing"


NO_HITS: list[object] = [None, 1, "hit", [], ["_source"], {}, {"_id": "1"}]
NO_SOURCES: list[object] = [None, [], "text", 3]


@pytest.mark.parametrize("hit", NO_HITS + [{"_source": inner} for inner in NO_SOURCES])
def test_a_hit_of_another_shape_is_refused(hit: object) -> None:
    """A hit without a `_source` of keys and values is refused by its place."""
    error = refused(hit)

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
def test_any_json_is_a_complaint_or_an_invalid_hit(hit: object) -> None:
    """Whatever JSON stands for a hit, it is a sound complaint or refused by our own error."""
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
    """Return what a page becomes: its complaints, or what the error says is wrong, and where."""
    try:
        return parse(hits, "page 3")
    except InvalidHitError as error:
        return error.part, error.hit, error.field, error.detail


def raw(hits: list[Any]) -> list[msgspec.Raw]:
    """Return hits as a body has them."""
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
    """Return a page of hits that differ in their ids, whose lengths differ too."""
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
def test_an_ordinary_page_is_read_column_by_column(hits: list[Any]) -> None:
    """Whatever CFPB has sent so far goes the fast way, and comes to the same."""
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
    """Return hits that are mostly like this one, with some fields as no release had them."""
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
@settings(deadline=None, derandomize=True, max_examples=soak(500))
def test_a_page_is_what_its_hits_are(hits: list[Any]) -> None:
    """Read together, hits are the complaints that each of them is, or fail at the same place."""
    assert outcome(together, hits) == outcome(one_by_one, hits)


def odd_hits() -> Iterator[Any]:
    """Yield hits with one oddity each, also those that are refused."""
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


def test_one_odd_hit_is_told_as_if_it_came_alone() -> None:
    """Between ordinary hits every oddity is read, or refused, with its own place and field."""
    before, after = numbered(FIELDS_15, FIELDS_18 | OLD_DATES)

    refusals = set[str]()
    for hit in odd_hits():
        page = [before, hit, after]
        told = outcome(together, page)
        assert told == outcome(one_by_one, page)
        if isinstance(told, tuple):
            assert told[:2] == ("page 3", 2)
            refusals.add(told[2])
    assert refusals == {"_source", *Complaint._fields}


def test_the_first_of_two_odd_hits_is_told() -> None:
    """A page is refused for the first hit that is none, whichever of its fields that is."""
    wrong_state = {"_source": FIELDS_15 | {"state": 7}}
    wrong_id = {"_source": FIELDS_15 | {"complaint_id": "007"}}

    told = [
        outcome(together, [*numbered(FIELDS_15), *odd])
        for odd in ([wrong_state, wrong_id], [wrong_id, wrong_state])
    ]
    assert [each[1:3] for each in told] == [(2, "state"), (2, "complaint_id")]


@pytest.mark.parametrize(
    ("hit", "field", "problem"),
    [
        (b'{"_source": {"state": "\xff"}}', "JSON", "cannot be read: .*utf-8"),
        (b'{"_source": {"state": 1e999}}', "JSON", "cannot be read: .*out of range"),
        (b'{"_source": {}}', "complaint_id", "is missing"),
    ],
)
def test_a_hit_late_on_a_page_is_told_by_its_place(hit: bytes, field: str, problem: str) -> None:
    """Of a page that is read in groups, what cannot be a complaint has its place on the page."""
    page = raw(numbered(*[FIELDS_15] * 1_300))
    page[1_202] = msgspec.Raw(hit)

    with pytest.raises(InvalidHitError, match=problem) as refused_hit:
        parse_page(page, "page 3")

    assert (refused_hit.value.hit, refused_hit.value.field) == (1_203, field)


def test_a_page_of_groups_is_one_page() -> None:
    """Complaints keep their order over groups, and a column is carried if all groups carry it."""
    page = numbered(*[FIELDS_18] * 700, *[FIELDS_15] * 600)

    content = parse_page(raw(page), "page 3")

    assert [len(batch.complaints) for batch in content.batches] == [500, 500, 300]
    assert complaints_of(content) == one_by_one(page, "page 3")
    assert content.columns == set(FIELDS_15)


def carried(*fields: dict[str, Any]) -> Collection[str]:
    """Return the columns that every hit of a page carries."""
    return parse_page(raw([{"_source": each} for each in fields]), "page 3").columns


def unknown(*fields: dict[str, Any]) -> Collection[str]:
    """Return the names on a page that nobody knows."""
    return parse_page(raw([{"_source": each} for each in fields]), "page 3").unknown_columns


def test_only_what_every_hit_carries_is_carried() -> None:
    """A page that mixes eras carries the columns common to all, nulls included."""
    narrative = FIELDS_16 | {"complaint_what_happened": None}

    assert carried(narrative, narrative) == set(FIELDS_16)
    assert carried(narrative, FIELDS_15) == set(FIELDS_15)
    assert carried(FIELDS_15, narrative) == set(FIELDS_15)


def test_what_is_no_column_is_not_carried() -> None:
    """Names that are left out, or unknown, are no columns to compare."""
    assert carried(FIELDS_19 | {"event_tag": "x"}) == set(FIELDS_18)


def test_unknown_fields_are_those_of_any_hit() -> None:
    """A name that no release used is reported once, the known ones that we leave out are not."""
    known = FIELDS_19 | dict.fromkeys(NOT_STORED)

    assert unknown(known) == set()
    assert unknown() == set()
    tagged = {"complaint_id": "1", "Tags": 1}
    assert unknown(known, known | {"event_tag": 1}, tagged) == {"event_tag", "Tags"}
    assert unknown(tagged, tagged) == {"Tags"}
