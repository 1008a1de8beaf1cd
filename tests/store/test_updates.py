"""An update repeats an earlier load."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.errors import NothingToUpdateError
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.query import Query
from cfpb_etl.store.loads import open_load
from support.loads import Asked, outcomes, query, store
from support.parts import complaint, part

if TYPE_CHECKING:
    from pathlib import Path


def api(since: str | None = None, *, limit: int | None = None, state: str = "CA") -> SearchApi:
    """Return a source that is asked for nothing here."""
    return SearchApi(Query(since=since, state=(state,)), limit=limit, url=Asked.address)


def bring(
    path: Path, source: SearchApi, until: str | None, error: BaseException | None = None
) -> tuple[str | None, int | None]:
    """Load days until this one, and return since when was asked and what is updated."""
    with open_load(path, source) as running:
        [window] = running.source.parts()
        days = (None, until)
        store(running, path, part(complaint(1), at=window, days=days, next_parts=[window]))
        store(running, path, part(complaint(1), at=window, days=days))
        if error is not None:
            raise error
    assert isinstance(running.source, SearchApi)
    return running.source.query.since, running.source.updates_load_id


UPDATE = SearchApi(lookback=1, url=Asked.address)


@pytest.mark.parametrize("lost", [ValueError(), KeyboardInterrupt()], ids=repr)
def test_without_a_complete_load_there_is_nothing_to_update(
    path: Path, lost: BaseException
) -> None:
    """A load that was limited, or did not end well, or is of another kind, is no base."""
    bring(path, api(limit=1), "2026-05-31")
    bring(path, replace(api(), kind="archive"), "2026-05-31")
    with pytest.raises(type(lost)):
        bring(path, api(), "2026-05-31", lost)

    with pytest.raises(NothingToUpdateError):
        bring(path, UPDATE, None)
    assert len(outcomes(path)) == 3


def test_a_load_without_a_last_day_is_no_base(path: Path) -> None:
    """Where nothing says how far a load has come, an update would not know where to begin."""
    bring(path, api(), None)

    with pytest.raises(NothingToUpdateError):
        bring(path, UPDATE, None)


def test_an_update_repeats_the_newest_complete_load(path: Path) -> None:
    """Its query is asked for, from so many days before the last that it covers."""
    bring(path, api("2024-01-01", state="CA"), "2026-06-30")
    bring(path, api("2025-01-01", state="TX"), "2026-05-31")
    bring(path, api(limit=5, state="WY"), "2026-06-30")
    with pytest.raises(ValueError, match="torn"):
        bring(path, api("2024-01-01", state="FL"), "2026-06-30", ValueError("torn"))

    assert bring(path, UPDATE, "2026-06-02") == ("2026-05-30", 2)
    assert query(path, "SELECT query, updates_load_id FROM load ORDER BY load_id DESC LIMIT 1") == [
        ('{"since": "2026-05-30", "state": ["TX"]}', 2)
    ]


def test_an_update_goes_on_from_the_complete_updates_before_it(path: Path) -> None:
    """The last day is that of the load or of its updates, and never goes back."""
    bring(path, api(), "2026-05-31")

    assert bring(path, UPDATE, "2026-06-30") == ("2026-05-30", 1)
    assert bring(path, UPDATE, "2026-06-20") == ("2026-06-29", 1)
    assert bring(path, UPDATE, "2026-07-31") == ("2026-06-29", 1)
    assert bring(path, UPDATE, "2026-08-31") == ("2026-07-30", 1)


def test_an_update_that_did_not_end_well_does_not_count(path: Path) -> None:
    """The next looks back from where the last complete one ended, and goes on with it."""
    bring(path, api(), "2026-05-31")
    with pytest.raises(ValueError, match="torn"):
        bring(path, UPDATE, "2026-06-30", ValueError("torn"))

    with open_load(path, UPDATE) as running:
        assert (running.id, running.source.updates_load_id) == (2, 1)
        assert running.stats.parts == 2
        assert running.verify() == 0
    assert bring(path, UPDATE, "2026-07-31") == ("2026-06-29", 1)
    assert outcomes(path) == [("complete", None)] * 3


def test_a_new_complete_load_is_the_next_base(path: Path) -> None:
    """Updates of an older load say nothing of how far a newer one has come."""
    bring(path, api(state="CA"), "2026-05-31")
    bring(path, UPDATE, "2026-06-30")
    bring(path, api(state="TX"), "2026-03-31")

    assert bring(path, UPDATE, "2026-04-30") == ("2026-03-30", 3)
    assert bring(path, UPDATE, "2026-05-31") == ("2026-04-29", 3)
