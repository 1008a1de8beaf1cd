"""Update the database every day, and export it afterwards.

This serves the flow in one process, without a work pool: start a Prefect server
(`prefect server start`), set `PREFECT_API_URL` to its address, and run
`python flows/update_and_export.py`.
The database is in the folder in which you start it. docs/server.md describes the deployment
update-and-export of prefect.yaml, which needs a worker.
"""

from prefect.types.entrypoint import EntrypointType

from cfpb_etl.scheduled import update_and_export

if __name__ == "__main__":
    update_and_export.serve(
        name="served-update-and-export",
        entrypoint_type=EntrypointType.MODULE_PATH,
        rrule="FREQ=DAILY;BYHOUR=10;BYMINUTE=30;BYSECOND=0",  # CFPB publishes at about 09:16 GMT
        parameters={"database": "complaints.db", "export": "complaints-parquet"},
    )
