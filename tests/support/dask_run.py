"""A user's program, which runs the flow on Dask: `-m support.dask_run SCHEDULER URL FOLDER`."""

import sys
from pathlib import Path
from typing import Any

from prefect_dask.task_runners import DaskTaskRunner

from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from support.sources import load_source

if __name__ == "__main__":
    scheduler, url, folder = sys.argv[1:]
    runner: Any = DaskTaskRunner(address=scheduler)
    load_source(
        SearchApi(url=url, page_size=1_000),
        Path(folder) / "complaints.db",
        flow=load_complaints.with_options(task_runner=runner),
    )
