"""Serve the flow on a schedule: the newest complaints, every day after CFPB has published.

Run `python flows/newest_complaints.py` beside a Prefect server (`prefect server start`, and
`PREFECT_API_URL` set to it); it waits for the hour, or for a run started in Prefect's UI.
"""

from dataclasses import asdict
from pathlib import Path

from prefect.types.entrypoint import EntrypointType

from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints

if __name__ == "__main__":
    load_complaints.serve(
        name="newest-complaints",
        entrypoint_type=EntrypointType.MODULE_PATH,
        # CFPB publishes about 09:16 GMT, some 20,000 complaints on a working day. In place of cron,
        # at which Prefect 3.9.1's scheduler fails where it has pendulum (Python 3.11 and 3.12).
        rrule="FREQ=DAILY;BYHOUR=10;BYMINUTE=30;BYSECOND=0",
        parameters={
            "source": asdict(SearchApi(limit=50_000)),
            "database": str(Path("complaints.db").absolute()),
            "graph": str(Path("complaints-flow.svg").absolute()),
        },
    )
