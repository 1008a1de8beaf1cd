"""Load the newest complaints for a quick look, when you start a run in Prefect's UI.

This serves the flow in one process, without a work pool: start a Prefect server
(`prefect server start`), set `PREFECT_API_URL` to its address, and run
`python flows/newest.py`.
The database is in the folder in which you start it. docs/server.md describes the deployment
newest of prefect.yaml, which needs a worker.
"""

from prefect.types.entrypoint import EntrypointType

from cfpb_etl import load_complaints

if __name__ == "__main__":
    load_complaints.serve(
        name="served-newest",
        entrypoint_type=EntrypointType.MODULE_PATH,
        parameters={"limit": 1_000, "database": "newest.db", "graph": "newest.svg"},
    )
