"""A made-up CFPB whose complaints change from day to day, and the files that people keep of it.

Each `Sighting` is one thing to load: the daily file, a saved file, a part, the archive, or a pull
of the search API. The world knows the true moment of a sighting. A loader sees only its source.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile, ZipInfo

from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.model.query import STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path
    from random import Random

    from cfpb_etl.emulator import RawComplaint
    from cfpb_etl.fetch.sources import AnySource

Row = dict[str, "str | None"]

PRODUCTS = tuple(
    """Bank account or service|Checking or savings account|Consumer Loan|Credit card
Credit card or prepaid card|Credit reporting|Debt collection|Debt or credit management
Credit reporting or other personal consumer reports|Money transfers|Mortgage
Credit reporting, credit repair services, or other personal consumer reports
Money transfer, virtual currency, or money service|Other financial service|Payday loan
Payday loan, title loan, or personal loan|Prepaid card|Student loan|Vehicle loan or lease
Payday loan, title loan, personal loan, or advance loan|Virtual currency""".replace(
        "\n", "|"
    ).split("|")
)
COMPANIES = ("Alder Bank", "BIRCH CREDIT, INC.", "Cedar Loans", "Dogwood Mortgage", "ELM & SONS")
NARRATIVE, DISPUTED = "complaint_what_happened", "consumer_disputed"
COLUMNS = tuple(
    name
    for name in CSV_COLUMNS.values()
    if name not in {NARRATIVE, "consumer_consent_provided", DISPUTED}
)
VALUES: Mapping[str, tuple[str | None, ...]] = {
    "company_response": ("In progress", "Closed with explanation", "Closed", None),
    "timely": ("Yes", "No"),
    "company_public_response": (None, None, "Company chooses not to provide a public response"),
    "tags": (None, "Older American", "Servicemember"),
    DISPUTED: (None, "Yes", "No"),  # only some files have this column
}
FIRST_DAY, ARCHIVED = date(2011, 12, 1), date(2026, 8, 31)
IMPLAUSIBLE = "2062-03-04"
BEGIN = date(2026, 9, 21)  # the first day that is lived through after the archive was made
FUTURE = date(2050, 1, 2)


def day_in(row: Mapping[str, Any], column: str = "date_received") -> str:
    """Return the day in a column of a complaint."""
    return str(row[column])[:10]


def newest_received(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the newest plausible day received; "" if there is none."""
    days = map(day_in, rows)
    return max((day for day in days if day < IMPLAUSIBLE), default="")


def newest_day(rows: Collection[Mapping[str, Any]]) -> str:
    """Return the newest plausible day in both columns of dates; "" if there is none."""
    sent = (str(row.get("date_sent_to_company") or "")[:10] for row in rows)
    return max([newest_received(rows), *(day for day in sent if day < IMPLAUSIBLE)])


def stored_row(raw: RawComplaint, columns: Iterable[str] = COLUMNS) -> Row:
    """Return a complaint as the database stores it."""
    row = {name: raw.get(name) for name in columns if name != "complaint_id"}
    return row | {name: day_in(raw, name) for name in row if name.startswith("date_")}


@dataclass(frozen=True)
class Moment:
    """What CFPB has between two publications.

    Attributes:
        number: The position in time.
        day: The day of the publication.
        rows: The complaints by id.
    """

    number: int
    day: date
    rows: Mapping[int, RawComplaint]

    @property
    def scale(self) -> str:
        """Return the newest plausible day received."""
        return newest_received(self.rows.values())


@dataclass(frozen=True)
class Sighting:
    """One thing to load, what it shows, and when it is really from.

    Attributes:
        what: The thing, in words.
        source: The source to load.
        moment: When the data are from.
        rows: The complaints that it has, by id, with its columns.
        columns: The columns that it has.
        earliest: The earliest day that what it shows allows, on the scale of the newest day
            received.
        latest: The latest day that it allows.
        stated: The earliest day that the rules may take it for, where they say more than the rows
            prove.
        is_whole: Whether it has all complaints of its moment, and shows that.
        may_cover: Whether it is a file that may cover all that the database holds.
        since: For an unfiltered pull of the search API: the first day received.
        url: The URL of a download.
        settles_ties: Whether it is newer than all loaded data of its day.
    """

    what: str
    source: AnySource
    moment: Moment
    rows: Mapping[int, Row]
    columns: frozenset[str]
    earliest: str
    latest: str
    stated: str = ""
    is_whole: bool = False
    may_cover: bool = False
    since: str | None = None
    url: str | None = None
    settles_ties: bool = False

    def __str__(self) -> str:
        moment = f"{self.what}, moment {self.moment.number} of {self.moment.day}"
        return f"{moment}, {self.earliest} ({self.stated}) to {self.latest}"

    def is_after(self, other: Sighting, *, stated: bool = False) -> bool:
        """Say whether what both show proves that the other one is older.

        Args:
            other: An earlier load.
            stated: Whether to believe the rules where they say more than the rows prove.
        """
        earliest = max(self.earliest, self.stated) if stated else self.earliest
        settled = self.settles_ties or (self.url is not None and self.url == other.url)
        return other.latest < earliest or (settled and other.latest == earliest)

    def is_before(self, other: Sighting, *, stated: bool = False) -> bool:
        """Say whether the days alone prove that the other one, an earlier load, is newer."""
        return self.latest < (max(other.earliest, other.stated) if stated else other.earliest)

    def lacks(self, number: int, row: Row) -> bool:
        """Say whether it proves that CFPB does not have a complaint."""
        asked = self.since is not None and (row["date_received"] or "") >= self.since
        return number not in self.rows and (self.is_whole or asked)


@dataclass
class World:
    """The moments of one CFPB, the first of them when the archive was made.

    Attributes:
        moments: The moments in the order of time.
        narratives: The narratives that only the archive has, by complaint id.
    """

    moments: list[Moment]
    narratives: dict[int, str]


@dataclass
class _Life:
    rng: Random
    rows: dict[int, RawComplaint] = field(default_factory=dict)
    gone: dict[int, RawComplaint] = field(default_factory=dict)
    before: dict[tuple[int, str], str | None] = field(default_factory=dict)
    born: int = 0

    def add(self, received: date, sent: date) -> None:
        self.born += 1
        number = 20_000_000 + 7 * self.born
        self.rows[number] = {
            "complaint_id": str(number),
            "date_received": f"{received}T12:00:00.000Z",
            "date_sent_to_company": f"{sent}T12:00:00.000Z",
            "product": PRODUCTS[self.born % len(PRODUCTS)],
            "sub_product": "I do not know",
            "issue": f"Issue {self.born % 3}",
            "sub_issue": None,
            "company": self.rng.choice(COMPANIES),
            "state": STATES[self.born % len(STATES)],
            "zip_code": f"{self.born:05}",
            "submitted_via": self.rng.choice(("Web", "Phone")),
            **{name: self.rng.choice(values) for name, values in VALUES.items()},
        }

    def live(self, day: date, *, odd: bool) -> None:
        """Let a day pass; on some days, nothing new is received."""
        rng, newest = self.rng, newest_received(self.rows.values())
        if rng.random() < 0.65 or day - date.fromisoformat(newest) > timedelta(3):
            for late in (rng.choice((0, 1)), *rng.choices((0, 1, 2, 4, 9), k=rng.randint(2, 4))):
                received = day - timedelta(late)
                sent = received + timedelta(rng.choice((0, 0, 0, 1, 2)))
                self.add(received, min(sent, day))
            newest = newest_received(self.rows.values())
        if odd:
            self.add(date.fromisoformat(IMPLAUSIBLE), day)
        for number in rng.sample([*self.rows], len(self.rows) // 6):
            name = rng.choice([*VALUES])
            row, key = self.rows[number], (number, name)
            values = (self.before[key],) if key in self.before else VALUES[name]
            self.before[key] = row[name]
            self.rows[number] = row | {name: rng.choice(values)}
        # The newest complaints stay, so that the newest day received never gets earlier.
        removable = [n for n, row in self.rows.items() if day_in(row) != newest]
        returning = [number for number in self.gone if rng.random() < 0.3]
        self.gone |= {n: self.rows.pop(n) for n in rng.sample(removable, rng.randint(1, 4))}
        self.rows |= {number: self.gone.pop(number) for number in returning}


def make_world(rng: Random, *, days: int = 14) -> World:
    """Return a world of some 200 complaints that lives for some days."""
    life = _Life(rng)
    life.add(FIRST_DAY, FIRST_DAY)
    span = (ARCHIVED - FIRST_DAY).days
    ages = [*rng.choices(range(90), k=90), *rng.choices(range(span), k=90), 0, 0, 0]
    for received in (ARCHIVED - timedelta(age) for age in ages):
        life.add(received, min(received + timedelta(rng.choice((0, 0, 2))), ARCHIVED))
    moments = [Moment(0, ARCHIVED, dict(life.rows))]
    narratives = {number: f"Story {number}" for number in life.rows if rng.random() < 0.4}
    odd_day = rng.choice((2, 4, None, None))
    for passed in range(days):
        for _ in range(rng.choice((1, 1, 1, 2))):
            day = BEGIN + timedelta(passed)
            life.live(day, odd=passed == odd_day)
            moments.append(Moment(len(moments), day, dict(life.rows)))
    return World(moments, narratives)


# --- files ----------------------------------------------------------------------------------


def csv_text(rows: Mapping[int, Row], columns: Collection[str]) -> str:
    """Return complaints as a CSV of CFPB with these columns."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    kept = {title: name for title, name in CSV_COLUMNS.items() if name in columns}
    writer.writerow(kept)
    for number, row in rows.items():
        writer.writerow([(row | {"complaint_id": str(number)})[name] for name in kept.values()])
    return text.getvalue()


@dataclass(frozen=True)
class Saved:
    """A saved file, and the days that its container shows.

    Attributes:
        path: The file.
        days: The days by which the file was written, as its container says.
    """

    path: Path
    days: tuple[str, ...]

    def latest(self, earliest: str, *others: str) -> str:
        """Return the earliest of the days that do not contradict the data; "9" if there is none.

        Days of the present are later than all days of a world.
        """
        return min(
            (day for day in (*self.days, *others) if earliest <= day < str(FUTURE)), default="9"
        )


def touch(path: Path, day: date, second: int = 0) -> None:
    """Set the time of a file."""
    noon = datetime(day.year, day.month, day.day, 12, 0, second, tzinfo=UTC).timestamp()
    os.utime(path, (noon, noon))


def zip_text(path: Path, text: str, day: date) -> None:
    """Write a zip with one CSV that has this day in the zip."""
    with ZipFile(path, "w") as archive:
        archive.writestr(ZipInfo("complaints.csv", (day.year, day.month, day.day, 9, 16, 0)), text)


def save(rng: Random, stem: Path, text: str, day: date) -> Saved:
    """Save a file in one of the containers that people use.

    Args:
        rng: Chooses the container and its days.
        stem: The path without an ending.
        text: The CSV.
        day: The day on which the file was really saved.
    """
    later = day + timedelta(rng.randint(1, 12))
    changed = rng.choice((day, day, later, FUTURE, date(1999, 9, 9)))
    if rng.random() < 0.4:
        path = stem.with_name(f"{stem.name}.csv")
        path.write_text(text, "utf-8", newline="")
        days = [changed]
    else:
        zipped = rng.choice((day, day, later, date(1980, 1, 1), FUTURE))
        path = stem.with_name(f"{stem.name}.zip")
        zip_text(path, text, zipped)
        days = [zipped, changed]
    touch(path, changed)
    return Saved(path, tuple(map(str, days)))
