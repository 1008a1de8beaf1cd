"""Load the newest complaints every day, as a served flow.

Start a Prefect server (`prefect server start`), set `PREFECT_API_URL` to its address, and run
`python flows/newest_complaints.py`. It runs the flow when a run is due, or when a run is started in
Prefect's UI.
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
        # CFPB publishes at about 09:16 GMT, some 20,000 complaints on a working day. No cron
        # schedule: Prefect 3.9.1 fails with those where it uses pendulum (Python 3.11 and 3.12).
        rrule="FREQ=DAILY;BYHOUR=10;BYMINUTE=30;BYSECOND=0",
        parameters={
            "source": asdict(SearchApi(limit=50_000)),
            "database": str(Path("complaints.db").absolute()),
            "graph": str(Path("complaints-flow.svg").absolute()),
        },
    )
