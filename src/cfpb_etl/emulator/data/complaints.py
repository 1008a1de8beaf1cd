"""Generates complaints from a seed, in the format of the search API.

The generated complaints resemble real complaints (docs/facts.md, "Data"), but no real person wrote
them.
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
from cfpb_etl.emulator.data.narratives import generate_narrative
from cfpb_etl.emulator.data.products import ISSUES_UNTIL_2023, products

RawComplaint: TypeAlias = dict[str, Any]
"""A complaint as the search API sends it: the value of `_source` in a hit."""

Era: TypeAlias = Literal["2024", "deployed"]
"""The emulated release: the release of the 2024-11 recording, or the release since 2026-08."""

T = TypeVar("T")

NEWEST_DAY: Mapping[Era, date] = {"2024": date(2024, 11, 5), "deployed": date(2026, 10, 7)}
"""The last day on which complaints were received, for each era."""

_SPAN_DAYS = 3 * 365
_DAY = 86_400
_FORM_CHANGED = date(2023, 8, 24)

# The highest id at each time, in seconds since 1970 (docs/facts.md, "Complaint ids"). In August
# 2024 ids grew from 7 to 8 digits, so complaints of the same time have ids of both lengths.
_HIGHEST_ID = tuple(
    (int(datetime(year, month, day, tzinfo=UTC).timestamp()), highest)
    for year, month, day, highest in (
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
    """One combination of choices in the complaint form."""

    product: str
    sub_product: str | None
    issue: str
    sub_issue: str | None
    company: str


def generate_complaints(
    rows: int, *, seed: int = 2011, era: Era = "deployed", until: date | None = None
) -> list[RawComplaint]:
    """Return generated complaints that were received in three years, oldest first.

    The same arguments return the same complaints. Complaints of the era "2024" have a narrative,
    the 16 keys of the 2024 recording, and dates with the time 12:00. Complaints of the era
    "deployed" are the same, but have no narrative, 15 keys and UTC times (docs/facts.md, "Releases"
    and "Date formats").

    Args:
        rows: The number of complaints.
        seed: The seed of the random numbers.
        era: The release whose format the complaints have.
        until: The last day on which complaints were received. Default: the era's `NEWEST_DAY`.
    """
    rng, words = Random(seed), Random(f"narratives {seed}")  # noqa: S311 - nothing secret
    newest_day = until or NEWEST_DAY[era]
    received = _draw_times_received(rng, rows, newest_day)
    on_old_form = bisect(received, _midnight(_FORM_CHANGED) - 1)
    columns = zip(
        received,
        _draw_ids(rng, received),
        _draw(rng, _categories(until_2023=True), on_old_form)
        + _draw(rng, _categories(until_2023=False), rows - on_old_form),
        _draw(rng, {state: state.weight for state in STATES}, rows),
        _draw(rng, ZIP_FORMS, rows),
        _draw(rng, TAGS, rows),
        _draw(rng, SUBMITTED_VIA, rows),
        _draw(rng, COMPANY_RESPONSES, rows),
        _draw(rng, PUBLIC_RESPONSES, rows),
        strict=True,
    )
    format_time = _noon_time if era == "2024" else _utc_time
    end = _midnight(newest_day) + _DAY
    complaints: list[RawComplaint] = []
    for moment, complaint_id, category, state, zip_form, tags, via, response, public in columns:
        in_progress = _chance(rng, _share_in_progress((end - moment) // _DAY))
        sent = moment + _seconds_until_sent(rng)
        source: RawComplaint = {"product": category.product}
        if era == "2024":
            source["complaint_what_happened"] = (
                generate_narrative(words, category.company, _day(moment // _DAY)[:4])
                if via == "Web" and _chance(words, 0.36)
                else ""
            )
        source |= {
            "date_sent_to_company": format_time(sent if sent < end else moment),
            "issue": category.issue,
            "sub_product": category.sub_product,
            "zip_code": zip_form and _zip_code(rng, state, zip_form),
            "tags": tags,
            "complaint_id": complaint_id,
            "timely": "No" if response == "Untimely response" or _chance(rng, 0.004) else "Yes",
            "company_response": "In progress" if in_progress else response,
            "submitted_via": via,
            "company": category.company,
            "date_received": format_time(moment),
            "state": state.name,
            "company_public_response": None if in_progress else public,
            "sub_issue": category.sub_issue,
        }
        complaints.append(source)
    return complaints


def _chance(rng: Random, share: float) -> bool:
    return rng.random() < share


def _draw(rng: Random, weights: Mapping[T, float], count: int) -> list[T]:
    return rng.choices(list(weights), list(weights.values()), k=count)


def _draw_times_received(rng: Random, rows: int, newest_day: date) -> list[int]:
    """Return the times at which the complaints were received, in seconds since 1970, ascending.

    The number of complaints doubles every year and is lower at weekends. A tenth of the times occur
    more than once.
    """
    days = {}
    for age in range(_SPAN_DAYS):
        day = newest_day - timedelta(age)
        at_weekend = day.isoweekday() in {6, 7}
        days[_midnight(day)] = 0.5 ** (age / 365) * (0.35 if at_weekend else 1)
    moments = sorted(
        midnight + int(rng.triangular(0, _DAY - 1, 66_000)) for midnight in _draw(rng, days, rows)
    )
    for index in range(1, rows):
        if _chance(rng, 0.1):
            moments[index] = moments[index - 1]
    return moments


def _draw_ids(rng: Random, moments: Iterable[int]) -> Iterator[str]:
    """Yield an id for each time. Ids rise with the time, but not strictly."""
    used: set[int] = set()
    for moment in moments:
        id_time = moment + rng.gauss(0, 9 * _DAY)
        at = min(max(bisect(_HIGHEST_ID, (id_time, 0)), 1), len(_HIGHEST_ID) - 1)
        (earlier, low), (later, high) = _HIGHEST_ID[at - 1], _HIGHEST_ID[at]
        complaint_id = low + int((id_time - earlier) / (later - earlier) * (high - low))
        while complaint_id in used:
            complaint_id += 1
        used.add(complaint_id)
        yield str(complaint_id)


def _categories(*, until_2023: bool) -> dict[_Category, float]:
    """Return the weight of each category in the complaint form before or after 2023-08-24."""
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
    """Return the share of each value. The n-th value has 1/n of the first value's share."""
    return _shares({value: 1 / rank for rank, value in enumerate(values, start=1)})


def _share_in_progress(age_days: int) -> float:
    """Return the share of the complaints of an age that are still in progress.

    The shares are invented. The ages come from docs/facts.md, "Late publication" and "Later
    changes".
    """
    return next((share for days, share in ((15, 0.9), (60, 0.15)) if age_days < days), 0)


def _seconds_until_sent(rng: Random) -> int:
    """Return the seconds until a complaint is sent to its company: minutes or, rarely, days."""
    return int(rng.expovariate(1 / (600 if _chance(rng, 0.85) else 4 * _DAY)))


def _zip_code(rng: Random, state: State, form: str) -> str:
    area = rng.randint(state.first_area, state.last_area)
    return form.format(area=area, place=rng.randrange(1, 100))


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


@cache
def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(number)).isoformat()


def _noon_time(moment: int) -> str:
    return f"{_day(moment // _DAY)}T12:00:00-05:00"


def _utc_time(moment: int) -> str:
    day, second = divmod(moment, _DAY)
    return f"{_day(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z"
