"""Load what is new, changed or withdrawn since the last complete load, every day.

This serves the flow in one process, without a work pool: start a Prefect server
(`prefect server start`), set `PREFECT_API_URL` to its address, and run
`python flows/daily_update.py`.
The database is in the folder in which you start it. docs/server.md describes the deployment
daily-update of prefect.yaml, which needs a worker.
"""

from prefect.types.entrypoint import EntrypointType

from cfpb_etl import load_complaints

if __name__ == "__main__":
    load_complaints.serve(
        name="served-daily-update",
        entrypoint_type=EntrypointType.MODULE_PATH,
        rrule="FREQ=DAILY;BYHOUR=10;BYMINUTE=30;BYSECOND=0",  # CFPB publishes at about 09:16 GMT
        parameters={"update": True, "database": "complaints.db", "graph": "daily-update.svg"},
    )
