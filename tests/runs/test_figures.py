"""The figures of a run do not depend on the task runner or on logging."""

from __future__ import annotations

import logging
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from support import faults
from support.faults import Faulty
from support.made_up import made_up
from support.prefect_runs import last_load, texts
from support.sources import load_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

COMPLAINTS = made_up(2_500, era="2024")
# Page 2 is fetched in the second attempt, and page 4 fails.
FAULTS = {2: faults.server_error(), 5: faults.forbidden_html()}
FIGURES = {
    "× failed",
    "4 runs, 1 failed · 2,100 rows",
    "▲ 1 retry",
    "● completed",
    "3 runs · 2,100 rows",
}


@contextmanager
def no_logging() -> Iterator[None]:
    """Disable all log records."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ({}, nullcontext()),
        ({"task_runner": ThreadPoolTaskRunner[Any](max_workers=1)}, nullcontext()),
        ({}, no_logging()),
    ],
    ids=["by default", "another task runner", "no logging"],
)
def test_the_figures_are_the_same(
    options: dict[str, Any], environment: AbstractContextManager[None], tmp_path: Path
) -> None:
    """The picture of a run with a retry and a failure has the same figures, and so has its load."""
    flow = load_complaints.with_options(**options)
    with serve(Faulty(Emulator(COMPLAINTS), FAULTS)) as url, environment:
        source = SearchApi(limit=2_500, url=url, page_size=700, rate_limit=None)
        state = load_source(source, tmp_path / "complaints.db", tmp_path / "flow.svg", flow=flow)

    assert state.is_failed()
    assert {text.strip() for text in texts(tmp_path)} >= FIGURES
    assert len([text for text in texts(tmp_path) if "● completed" in text]) == 2
    load = last_load(tmp_path)
    assert (load["outcome"], load["parts"], load["new"]) == ("failed", 3, 2_100)
