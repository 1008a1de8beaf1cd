"""Whatever people load in whatever order, what is certain to be newer counts, and nothing else.

A generator makes up a CFPB that changes from day to day. It knows the true moment of everything
that it loads. The program sees only what such files and answers show.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.errors import NothingToUpdateError
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.soak import SOAKING, soak
from support.time_sightings import Shelf, Site
from support.time_truth import MARK, Judge
from support.time_world import make_world

if TYPE_CHECKING:
    from pathlib import Path

    from support.time_truth import Stored
    from support.time_world import Sighting

# The process that reads files is tested in tests/parse/test_csv_process.py.
pytestmark = pytest.mark.usefixtures("reader_in_this_process")

RUNS = soak(12)  # each is a database of its own
LOADS = 9
ENOUGH = 50 if SOAKING else 5
EVENTS = (
    *("replaced", "filled", "marked", "born withdrawn", "unmarked", "stayed marked", "true"),
    *("kept: older", "kept: not certain", "kept: tie", "kept: flap", "not marked: not certain"),
)


def dump(database: Path) -> Stored:
    """Return what is stored."""
    if not database.exists():
        return {}
    names = (*Complaint._fields[1:], MARK)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"SELECT complaint_id, {', '.join(names)} FROM complaint")  # noqa: S608
        return {number: dict(zip(names, values, strict=True)) for number, *values in rows}


def load(sighting: Sighting, shelf: Shelf) -> tuple[Sighting, LoadStats]:
    """Load something, and return it as it was read, with its numbers."""
    database, stats = shelf.database, LoadStats()
    with open_load(database, sighting.source) as running:
        if isinstance(running.source, SearchApi):
            sighting = shelf.pulled(running.source)  # an update has found its query
        while parts := running.parts_left():
            raw = running.source.fetch(parts[0])
            raw.next_parts = running.source.split(raw, 0)
            stats += store_part(parse_part(raw), running.id, database)
        assert running.verify() == 0
    if stats.unchanged_files:
        sighting = replace(sighting, rows={}, is_whole=False)
    return sighting, stats


def is_known_tie(sighting: Sighting, judge: Judge) -> bool:
    """Say whether people would not state a day, because a later file of this day is loaded."""
    return sighting.what == "part --as-of" and any(
        each.latest == sighting.latest and each.moment.number > sighting.moment.number
        for each in judge.loads
    )


def run(seed: int, folder: Path, site: Site) -> Counter[str]:
    """Load some things into one database, and judge each load; return how often what occurred."""
    rng = Random(seed)  # noqa: S311 - nothing secret
    shelf = Shelf(rng, make_world(rng), folder, site, folder / "complaints.db")
    judge, history = Judge(), [f"seed {seed}"]
    for _ in range(LOADS):
        shelf.pass_time()
        sighting = shelf.choose()
        if is_known_tie(sighting, judge):
            continue
        before = dump(shelf.database)
        try:
            sighting, stats = load(sighting, shelf)
        except NothingToUpdateError:
            assert not any(each.is_whole for each in judge.loads)
            continue
        history.append(str(sighting))
        try:
            judge.judge(sighting, before, dump(shelf.database), stats)
        except AssertionError as error:
            error.add_note("\n".join(history))
            raise
    return judge.events


def test_what_is_certain_to_be_newer_counts(site: Site, tmp_path: Path) -> None:
    """Values, marks and counts are right after each load, and every kind of change occurs."""
    events = Counter[str]()
    for seed in range(RUNS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        events += run(seed, folder, site)
    assert {name: events[name] for name in EVENTS if events[name] < ENOUGH} == {}


def test_the_judge_is_never_wrong(tmp_path: Path) -> None:
    """What the judge takes for older is older, in each pair of things that one can load."""
    site, pairs = Site("http://localhost/"), 0
    for seed in range(soak(5, 200)):
        rng = Random(seed)  # noqa: S311 - nothing secret
        shelf = Shelf(rng, make_world(rng), tmp_path / str(seed), site, tmp_path / "complaints.db")
        shelf.folder.mkdir()
        judge = Judge()
        for _ in range(30):
            shelf.pass_time()
            sighting = shelf.choose()
            if is_known_tie(sighting, judge):
                continue
            for each in judge.loads:
                one, other = each.moment.number, sighting.moment.number
                assert one <= other or not sighting.is_after(each), (each, sighting)
                assert one > other or not sighting.is_before(each), (each, sighting)
                pairs += sighting.is_after(each) + sighting.is_before(each)
            judge.loads.append(sighting)
    assert pairs > 250
