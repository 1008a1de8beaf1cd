"""CFPB's own count, held against what the database holds."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.show.drift import Drift, fetch_drift, known_count
from cfpb_etl.store.sqlite_file import connect
from support.loads import JANUARY, MARCH, complaint, complaints, load, load_file, part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MADE = generate_complaints(500, era="deployed")
NAMES = ("product", "sub_product", "issue", "sub_issue", "company", "state")
HELD = [
    complaint(
        int(each["complaint_id"]),
        date_received=each["date_received"][:10],
        **{name: each[name] for name in NAMES},
    )
    for each in MADE
]
FIRST, LAST = HELD[0].date_received, HELD[-1].date_received
MIDDLE = HELD[250].date_received


@pytest.fixture(scope="module")
def api_url() -> Iterator[str]:
    """Serve 500 complaints as CFPB would."""
    with serve(Emulator(MADE)) as url:
        yield url


def drift_of(path: Path, url: str) -> Drift:
    """Return how far a server has moved on."""
    with closing(connect(path)) as connection:
        _, known = known_count(connection)
    assert known is not None
    return fetch_drift(known, url)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (499, "1 more than the 499 here that are not withdrawn"),
        (500, "as many as here"),
        (502, "2 fewer than the 502 here that are not withdrawn"),
    ],
)
def test_all_that_cfpb_has(path: Path, api_url: str, held: int, words: str) -> None:
    """A database of all complaints is held against CFPB's count of all, but for withdrawn ones."""
    load_file(path, *complaints(*range(held + 1)), as_of=JANUARY)
    load_file(path, *complaints(*range(held)), as_of=MARCH)

    drift = drift_of(path, api_url)

    assert (drift.counted, drift.known) == (500, held)
    assert str(drift) == f"500 complaints, {words}"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"since": MIDDLE},
        {"until": MIDDLE},
        {"since": FIRST, "until": LAST},
        {"state": ["CA", "TX"]},
        {"company": [HELD[0].company, HELD[7].company]},
        {"product": [HELD[0].product]},
        {"product": [f"{HELD[0].product}•{HELD[0].sub_product}", "Mortgage"]},
        {"product": [HELD[0].product, f"{HELD[0].product}•{HELD[0].sub_product}"]},
        {"issue": [f"{HELD[1].issue}•{HELD[1].sub_issue}", HELD[2].issue]},
        {"since": MIDDLE, "state": ["CA", "FL"], "product": [HELD[0].product]},
    ],
    ids=str,
)
def test_a_partial_pull(path: Path, api_url: str, asked: dict[str, Any]) -> None:
    """What is here is counted as CFPB does: of the same complaints both have as many."""
    load(path, part(*HELD, matching=1), query=json.dumps(asked))
    # An update asks for some days of it only, and is not what the database is of.
    load(path, part(matching=1), query=json.dumps(asked | {"since": LAST}), updates=1)

    drift = drift_of(path, api_url)

    assert drift.query == asked
    assert drift.counted == drift.known
    assert drift.known > 0
    assert str(drift).endswith(", as many as here")


@pytest.mark.parametrize("asked", [{"state": ["CA"], "limit": 1}, {"search": "theft"}])
def test_what_cannot_be_counted_here(path: Path, api_url: str, asked: dict[str, Any]) -> None:
    """What words match, or was beyond the newest, is held against what it was when asked."""
    load(path, part(complaint(1), matching=1), query=json.dumps(asked))

    drift = drift_of(path, api_url)

    assert (drift.known, drift.load_id) == (1, 1)
    assert "limit" not in drift.query
    assert str(drift).endswith(" than when load 1 asked")


def test_nothing_to_hold_it_against(path: Path) -> None:
    """Of the archive CFPB's API has no count."""
    load_file(path, complaint(1, complaint_what_happened="Why"), kind="archive")

    with closing(connect(path)) as connection:
        assert known_count(connection)[1] is None
