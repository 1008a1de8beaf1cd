"""A small flow of the same shape as the real one, for the tests of its picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.orchestration.concurrent_fetch import ConcurrentFetch
from cfpb_etl.orchestration.reporting.outcome import RunOutcome

outcomes: list[RunOutcome] = []
parts: Any = ("first", "second")


class Parsed:
    """What a part becomes."""

    rows = 9


class Source:
    """A source of two parts. The first attempt to fetch the first one fails."""

    max_concurrency = 1

    def split(self, raw: RawPart, _in_flight: int) -> Any:
        """Return the parts that follow."""
        return raw.next_parts


@task(retries=2, cache_policy=NO_CACHE)
def get(_source: Source, part: str) -> RawPart:
    """Fetch a <part> of what there is, for as long as the source & its friends have one.

    A second paragraph, for which no box has space.
    """
    if part == "first" and task_run.run_count == 1:
        raise ConnectionError("once")
    name: Any = part
    raw = RawPart(None, PartInfo(name, part, 10, 10, 10, None))
    raw.attempts = task_run.run_count
    return raw


@task(cache_policy=NO_CACHE)
def parse(raw: RawPart, fail: bool) -> Parsed:  # noqa: FBT001 - as a task is called
    """Read it."""
    if fail:
        raise ValueError(f"{raw.rows} rows\nand more")
    return Parsed()


@task(cache_policy=NO_CACHE)
def store(parsed: Parsed, load_id: int) -> LoadStats:  # noqa: D103 - a box without a sentence
    return LoadStats(rows=parsed.rows, new=load_id)


@contextmanager
def recorded() -> Iterator[RunOutcome]:
    """Collect the outcome of a run, for a test to look at."""
    outcome = RunOutcome()
    outcomes.append(outcome)
    try:
        yield outcome
    except BaseException as error:
        outcome.end(error)
        raise
    outcome.end(None)


@flow(name="example")
def example(fail: bool = False) -> None:  # noqa: FBT001, FBT002 - as above
    """Show what a flow looks like."""
    with recorded() as outcome:
        source: Any = Source()
        for raw in ConcurrentFetch(get, source, parts, outcome):
            outcome.run(store, outcome.run(parse, raw, fail), 1)
