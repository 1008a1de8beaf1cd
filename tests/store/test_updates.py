"""An update repeats the newest complete load, from a number of days before its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.errors import NothingToUpdateError
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.query import Query
from cfpb_etl.store.loads import open_load
from support.loads import FakeSource, outcomes, query, store
from support.parts import complaint, part

if TYPE_CHECKING:
    from pathlib import Path


def api(since: str | None = None, *, limit: int | None = None, state: str = "CA") -> SearchApi:
    """Return a source that fetches nothing here."""
    return SearchApi(Query(since=since, state=(state,)), limit=limit, url=FakeSource.address)


def load_until(
    path: Path, source: SearchApi, until: str | None, error: BaseException | None = None
) -> tuple[str | None, int | None]:
    """Load the days until this one; return the first day requested and the load repeated."""
    with open_load(path, source) as running:
        [window] = running.source.parts()
        days = (None, until)
        store(running, path, part(complaint(1), at=window, days=days, next_parts=[window]))
        store(running, path, part(complaint(1), at=window, days=days))
        if error is not None:
            raise error
    assert isinstance(running.source, SearchApi)
    return running.source.query.since, running.source.updates_load_id


UPDATE = SearchApi(lookback=1, url=FakeSource.address)


@pytest.mark.parametrize("lost", [ValueError(), KeyboardInterrupt()], ids=repr)
def test_an_update_needs_a_complete_load(path: Path, lost: BaseException) -> None:
    """Limited and failed loads, and other kinds of source, cannot be repeated."""
    load_until(path, api(limit=1), "2026-05-31")
    load_until(path, replace(api(), kind="archive"), "2026-05-31")
    with pytest.raises(type(lost)):
        load_until(path, api(), "2026-05-31", lost)

    with pytest.raises(NothingToUpdateError):
        load_until(path, UPDATE, None)
    assert len(outcomes(path)) == 3


def test_a_load_without_a_last_day_cannot_be_repeated(path: Path) -> None:
    """An update needs the day until which the load has covered."""
    load_until(path, api(), None)

    with pytest.raises(NothingToUpdateError):
        load_until(path, UPDATE, None)


def test_an_update_repeats_the_newest_complete_load(path: Path) -> None:
    """It has the same query, from a number of days before the last day covered."""
    load_until(path, api("2024-01-01", state="CA"), "2026-06-30")
    load_until(path, api("2025-01-01", state="TX"), "2026-05-31")
    load_until(path, api(limit=5, state="WY"), "2026-06-30")
    with pytest.raises(ValueError, match="torn"):
        load_until(path, api("2024-01-01", state="FL"), "2026-06-30", ValueError("torn"))

    assert load_until(path, UPDATE, "2026-06-02") == ("2026-05-30", 2)
    assert query(path, "SELECT query, updates_load_id FROM load ORDER BY load_id DESC LIMIT 1") == [
        ('{"since": "2026-05-30", "state": ["TX"]}', 2)
    ]


def test_an_update_continues_after_earlier_updates(path: Path) -> None:
    """The last day covered is that of the load and its updates, and never goes back."""
    load_until(path, api(), "2026-05-31")

    assert load_until(path, UPDATE, "2026-06-30") == ("2026-05-30", 1)
    assert load_until(path, UPDATE, "2026-06-20") == ("2026-06-29", 1)
    assert load_until(path, UPDATE, "2026-07-31") == ("2026-06-29", 1)
    assert load_until(path, UPDATE, "2026-08-31") == ("2026-07-30", 1)


def test_a_failed_update_covers_nothing(path: Path) -> None:
    """The next update looks back from the end of the last complete one, and resumes it."""
    load_until(path, api(), "2026-05-31")
    with pytest.raises(ValueError, match="torn"):
        load_until(path, UPDATE, "2026-06-30", ValueError("torn"))

    with open_load(path, UPDATE) as running:
        assert (running.id, running.source.updates_load_id) == (2, 1)
        assert running.stats.parts == 2
        assert running.verify() == 0
    assert load_until(path, UPDATE, "2026-07-31") == ("2026-06-29", 1)
    assert outcomes(path) == [("complete", None)] * 3


def test_the_newest_complete_load_is_repeated(path: Path) -> None:
    """Updates of an older load do not show how far a newer load has covered."""
    load_until(path, api(state="CA"), "2026-05-31")
    load_until(path, UPDATE, "2026-06-30")
    load_until(path, api(state="TX"), "2026-03-31")

    assert load_until(path, UPDATE, "2026-04-30") == ("2026-03-30", 3)
    assert load_until(path, UPDATE, "2026-05-31") == ("2026-04-29", 3)
