"""Complaints made by a seeded generator, in the shape that the search API gives them.

They look like the real ones (DATA.md sections 3 and 5), and no real person wrote any of them.
"""

from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import product as combinations
from random import Random
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from cfpb_etl.emulator.data.categories import (
    COMPANY_RESPONSES,
    PUBLIC_RESPONSES,
    STATES,
    SUBMITTED_VIA,
    TAGS,
    ZIP_FORMS,
    State,
)
from cfpb_etl.emulator.data.narratives import made_narrative
from cfpb_etl.emulator.data.products import ISSUES_UNTIL_2023, products

Source: TypeAlias = dict[str, Any]
"""A complaint as a hit carries it, under `_source`."""

Era: TypeAlias = Literal["2024", "deployed"]
"""Which release is played: that of the 2024-11 recording, or the one deployed since 2026-08."""

T = TypeVar("T")

NEWEST_DAY: Mapping[Era, date] = {"2024": date(2024, 11, 5), "deployed": date(2026, 10, 7)}
"""The last day on which complaints were received, as an era is played."""

_SPAN_DAYS = 3 * 365
_DAY = 86_400
_FORM_CHANGED = date(2023, 8, 24)

# The ids given out by then (DATA.md section 3, the recordings). They passed from 7 to 8 digits in
# August 2024, so complaints of one moment about then have ids of both lengths.
_ID_REACHED = tuple(
    (int(datetime(year, month, day, tzinfo=UTC).timestamp()), reached)
    for year, month, day, reached in (
        (2011, 12, 1, 1_000),
        (2020, 10, 31, 3_932_000),
        (2021, 12, 11, 4_999_000),
        (2024, 1, 1, 8_080_000),
        (2024, 11, 5, 10_680_000),
        (2026, 10, 7, 28_330_000),
        (2030, 1, 1, 60_000_000),
    )
)


class _Category(NamedTuple):
    """One way through the complaint form."""

    product: str
    sub_product: str | None
    issue: str
    sub_issue: str | None
    company: str


def made_complaints(
    rows: int, *, seed: int = 2011, era: Era = "deployed", until: date | None = None
) -> list[Source]:
    """Return this many complaints, received in the three years that end with a day, oldest first.

    The same arguments give the same complaints. Era "2024" has the 16 keys of that year's
    recording, narratives among them, and noon dates; "deployed" tells the same complaints with
    15 keys and UTC instants (CCDB_API.md section 0, DATA.md section 6).
    """
    rng, words = Random(seed), Random(f"narratives {seed}")  # noqa: S311 - nothing secret
    newest_day = until or NEWEST_DAY[era]
    received = _received(rng, rows, newest_day)
    on_old_form = bisect(received, _midnight(_FORM_CHANGED) - 1)
    columns = zip(
        received,
        _ids(rng, received),
        _drawn(rng, _categories(until_2023=True), on_old_form)
        + _drawn(rng, _categories(until_2023=False), rows - on_old_form),
        _drawn(rng, {state: state.weight for state in STATES}, rows),
        _drawn(rng, ZIP_FORMS, rows),
        _drawn(rng, TAGS, rows),
        _drawn(rng, SUBMITTED_VIA, rows),
        _drawn(rng, COMPANY_RESPONSES, rows),
        _drawn(rng, PUBLIC_RESPONSES, rows),
        strict=True,
    )
    written = _noon if era == "2024" else _instant
    end = _midnight(newest_day) + _DAY
    complaints: list[Source] = []
    for moment, number, category, state, zip_form, tags, via, response, public in columns:
        in_progress = _chance(rng, _share_in_progress((end - moment) // _DAY))
        sent = moment + _seconds_until_sent(rng)
        source: Source = {"product": category.product}
        if era == "2024":
            source["complaint_what_happened"] = (
                made_narrative(words, category.company, _day(moment // _DAY)[:4])
                if via == "Web" and _chance(words, 0.36)
                else ""
            )
        source |= {
            "date_sent_to_company": written(sent if sent < end else moment),
            "issue": category.issue,
            "sub_product": category.sub_product,
            "zip_code": zip_form and _zip_code(rng, state, zip_form),
            "tags": tags,
            "complaint_id": number,
            "timely": "No" if response == "Untimely response" or _chance(rng, 0.004) else "Yes",
            "company_response": "In progress" if in_progress else response,
            "submitted_via": via,
            "company": category.company,
            "date_received": written(moment),
            "state": state.name,
            "company_public_response": None if in_progress else public,
            "sub_issue": category.sub_issue,
        }
        complaints.append(source)
    return complaints


def _chance(rng: Random, share: float) -> bool:
    return rng.random() < share


def _drawn(rng: Random, weights: Mapping[T, float], count: int) -> list[T]:
    return rng.choices(list(weights), list(weights.values()), k=count)


def _received(rng: Random, rows: int, newest_day: date) -> list[int]:
    """Return moments in order: twice as many each year, fewer at weekends, a tenth in bursts."""
    days = {}
    for age in range(_SPAN_DAYS):
        day = newest_day - timedelta(age)
        at_weekend = day.isoweekday() in {6, 7}
        days[_midnight(day)] = 0.5 ** (age / 365) * (0.35 if at_weekend else 1)
    moments = sorted(
        midnight + int(rng.triangular(0, _DAY - 1, 66_000)) for midnight in _drawn(rng, days, rows)
    )
    for index in range(1, rows):
        if _chance(rng, 0.1):
            moments[index] = moments[index - 1]
    return moments


def _ids(rng: Random, moments: Iterable[int]) -> Iterator[str]:
    """Yield an id for each moment: they rise with the dates, though not strictly."""
    given: set[int] = set()
    for moment in moments:
        counted_on = moment + rng.gauss(0, 9 * _DAY)
        at = min(max(bisect(_ID_REACHED, (counted_on, 0)), 1), len(_ID_REACHED) - 1)
        (earlier, low), (later, high) = _ID_REACHED[at - 1], _ID_REACHED[at]
        complaint_id = low + int((counted_on - earlier) / (later - earlier) * (high - low))
        while complaint_id in given:
            complaint_id += 1
        given.add(complaint_id)
        yield str(complaint_id)


def _categories(*, until_2023: bool) -> dict[_Category, float]:
    """Return every way through the form, as it was until 2023-08-24 or since, by its weight."""
    weights: dict[_Category, float] = {}
    for product in products():
        name = (until_2023 and product.name_until_2023) or product.name
        renamed = ISSUES_UNTIL_2023 if until_2023 else {}
        issues = {
            (renamed.get(issue, issue), sub_issue): weight * share
            for issue, (weight, sub_issues) in product.issues.items()
            for sub_issue, share in _by_rank(sub_issues).items()
        }
        for (sub_product, a), ((issue, sub_issue), b), (company, c) in combinations(
            _shares(product.sub_products).items(),
            _shares(issues).items(),
            _by_rank(product.companies).items(),
        ):
            category = _Category(name, sub_product, issue, sub_issue, company)
            weights[category] = product.weight * a * b * c
    return weights


def _shares(weights: Mapping[T, float]) -> dict[T, float]:
    total = sum(weights.values())
    return {value: weight / total for value, weight in weights.items()}


def _by_rank(values: Iterable[T]) -> dict[T, float]:
    """Give each value its share: the second is half as frequent as the first, and so on."""
    return _shares({value: 1 / rank for rank, value in enumerate(values, start=1)})


def _share_in_progress(age_days: int) -> float:
    """Return how many complaints of this age still wait for an answer (DATA.md section 4)."""
    return next((share for days, share in ((15, 0.9), (60, 0.15)) if age_days < days), 0)


def _seconds_until_sent(rng: Random) -> int:
    """Return how long it took to send a complaint on: minutes for most, else days."""
    return int(rng.expovariate(1 / (600 if _chance(rng, 0.85) else 4 * _DAY)))


def _zip_code(rng: Random, state: State, form: str) -> str:
    area = rng.randint(state.first_area, state.last_area)
    return form.format(area=area, place=rng.randrange(1, 100))


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


@cache
def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(number)).isoformat()


def _noon(moment: int) -> str:
    return f"{_day(moment // _DAY)}T12:00:00-05:00"


def _instant(moment: int) -> str:
    day, second = divmod(moment, _DAY)
    return f"{_day(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z"
