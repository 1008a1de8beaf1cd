"""Load CFPB's file of all complaints on Sundays, and mark complaints that CFPB has removed.

This serves the flow in one process, without a work pool: start a Prefect server
(`prefect server start`), set `PREFECT_API_URL` to its address, and run
`python flows/weekly_bulk.py`.
The database is in the folder in which you start it. docs/server.md describes the deployment
weekly-bulk of prefect.yaml, which needs a worker.
"""

from prefect.types.entrypoint import EntrypointType

from cfpb_etl import load_complaints

if __name__ == "__main__":
    load_complaints.serve(
        name="served-weekly-bulk",
        entrypoint_type=EntrypointType.MODULE_PATH,
        rrule="FREQ=WEEKLY;BYDAY=SU;BYHOUR=12;BYMINUTE=30;BYSECOND=0",
        parameters={"source": "bulk", "database": "complaints.db", "graph": "weekly-bulk.svg"},
    )
