"""CFPB's current count, beside the count in the database."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.show.status import get_status
from cfpb_etl.store.sqlite_file import connect, transaction
from support.loads import load, load_file
from support.made_up import made_up
from support.parts import JANUARY, MARCH, complaint, complaints, part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.show.drift import Drift

SERVED = made_up(500, era="deployed")
NAMES = (
    *("product", "sub_product", "issue", "sub_issue", "company", "state"),
    *("zip_code", "tags", "submitted_via", "company_response", "timely"),
)
STORED = [
    complaint(
        int(each["complaint_id"]),
        date_received=each["date_received"][:10],
        **{name: each[name] for name in NAMES},
    )
    for each in SERVED
]
FIRST, LAST = STORED[0].date_received, STORED[-1].date_received
MIDDLE = STORED[250].date_received


@pytest.fixture(scope="module")
def api_url() -> Iterator[str]:
    """Serve 500 complaints as CFPB does."""
    with serve(Emulator(SERVED)) as url:
        yield url


def drift_of(path: Path, url: str) -> Drift:
    """Return how far a server is ahead of a database."""
    drift = get_status(path, url).drift
    assert drift is not None
    return drift


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (499, "1 more than this database (499 excluding withdrawn)"),
        (500, "the same number as this database (500 excluding withdrawn)"),
        (502, "2 fewer than this database (502 excluding withdrawn)"),
    ],
)
def test_all_complaints(path: Path, api_url: str, stored: int, text: str) -> None:
    """After a daily file, the complaints not withdrawn are compared with CFPB's count of all."""
    load_file(path, *complaints(*range(stored + 1)), as_of=JANUARY)
    load_file(path, *complaints(*range(stored)), as_of=MARCH)

    drift = drift_of(path, api_url)

    assert (drift.current, drift.baseline) == (500, stored)
    assert str(drift) == f"500 complaints, {text}"


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"since": MIDDLE},
        {"until": MIDDLE},
        {"since": FIRST, "until": LAST},
        {"state": ["CA", "TX"]},
        {"company": [STORED[0].company, STORED[7].company]},
        {"product": [STORED[0].product]},
        {"product": [f"{STORED[0].product}•{STORED[0].sub_product}", "Mortgage"]},
        {"product": [STORED[0].product, f"{STORED[0].product}•{STORED[0].sub_product}"]},
        {"issue": [f"{STORED[1].issue}•{STORED[1].sub_issue}", STORED[2].issue]},
        {"tag": ["Servicemember", "Older American, Servicemember"]},
        {"zip_code": [STORED[0].zip_code, STORED[3].zip_code]},
        {"timely": "Yes"},
        {"submitted_via": ["Web"]},
        {"company_response": [STORED[0].company_response]},
        {"since": MIDDLE, "state": ["CA", "FL"], "product": [STORED[0].product]},
    ],
    ids=str,
)
def test_a_query(path: Path, api_url: str, filters: dict[str, Any]) -> None:
    """Stored complaints are counted as CFPB counts: both have the same number."""
    load(path, part(*STORED, matching=1), query=json.dumps(filters))
    # An update covers only its newest days, so the count is of the load that it updates.
    load(path, part(matching=1), query=json.dumps(filters | {"since": LAST}), updates_load_id=1)

    drift = drift_of(path, api_url)

    assert json.loads(json.dumps(drift.query)) == filters
    assert drift.current == drift.baseline
    assert drift.baseline > 0
    assert ", the same number as this database (" in str(drift)


def test_a_query_without_withdrawn_complaints(path: Path, api_url: str) -> None:
    """Complaints that CFPB no longer has are not counted, under a filter too."""
    load(path, part(*STORED, matching=1), query=json.dumps({"since": FIRST}))
    with closing(connect(path)) as connection, transaction(connection):
        connection.execute("UPDATE complaint SET withdrawn_on = ? WHERE state = 'CA'", (MARCH,))
    in_california = sum(each.state == "CA" for each in STORED)

    drift = drift_of(path, api_url)

    assert (drift.current, drift.baseline) == (500, 500 - in_california)
    assert in_california > 0


@pytest.mark.parametrize(
    ("filters", "limit"), [({"state": ["CA"], "limit": 1}, 1), ({"search": "theft"}, None)]
)
def test_what_the_database_cannot_count(
    path: Path, api_url: str, filters: dict[str, Any], limit: int | None
) -> None:
    """For search words and newest-N loads, CFPB's count is compared with its count in the load."""
    load(path, part(complaint(1), matching=1), query=json.dumps(filters), limit=limit)

    drift = drift_of(path, api_url)

    assert (drift.baseline, drift.load_id) == (1, 1)
    assert "limit" not in drift.query
    assert str(drift).endswith(" than in load 1")


def test_nothing_to_compare(path: Path) -> None:
    """CFPB's API has no count of the archive."""
    load_file(path, complaint(1, complaint_what_happened="Why"), kind="archive")

    assert get_status(path).drift is None
