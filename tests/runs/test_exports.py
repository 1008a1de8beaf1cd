"""Exports while a load is running have all tables of one moment."""

from __future__ import annotations

import subprocess
from datetime import date
from urllib.parse import urljoin

import duckdb
import pytest

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve
from cfpb_etl.publish.export import export_complaints
from support.program import PROGRAM

COMPLAINTS = generate_complaints(40_000)
NEW = 20_000
CHANGED = COMPLAINTS[NEW::10]
WITHDRAWN = COMPLAINTS[NEW + 1 :: 1_000]


def outcome_of_load(number: int) -> str | None:
    """Check that the tables of an export are of one moment, and return how far a load is.

    The counts of a load are stored in the same transaction as its complaints.
    """
    with duckdb.connect() as connection:
        for table, files in (
            ("complaint", "complaint/*"),
            ("load", "load"),
            ("change", "complaint_change"),
        ):
            connection.execute(f"CREATE VIEW {table} AS FROM read_parquet('out/{files}/*.parquet')")
        stored = connection.execute(
            "SELECT load.load_id, new, COUNT(*) FILTER (first_load_id = load.load_id),"
            " changed + withdrawn, COUNT(*) FILTER (changed_load_id = load.load_id AND"
            " first_load_id <> load.load_id) FROM load, complaint GROUP BY ALL"
        ).fetchall()
        for load, new, found, changed, found_changed in stored:
            assert (load, new, changed) == (load, found, found_changed)
        (strays,) = connection.execute(
            "SELECT COUNT(*) FROM (SELECT load_id FROM change UNION ALL SELECT changed_load_id"
            " FROM complaint) WHERE load_id NOT IN (SELECT load_id FROM load)"
        ).fetchall()[0]
        assert strays == 0
        outcomes = dict(connection.execute("SELECT load_id, outcome FROM load").fetchall())
    return outcomes.get(number)


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
@pytest.mark.parametrize("source", ["bulk", "api"])
def test_exports_during_a_load(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    """Each export has a load completely, or as far as it was at one moment."""
    emulator = Emulator(COMPLAINTS[NEW:], files=tmp_path_factory.mktemp("files"))
    with serve(emulator) as api_url:
        emulator.publish(date(2026, 10, 8))
        url = urljoin(api_url, BULK_PATH)
        bulk = [*PROGRAM, "--source", "bulk", "--file", url, "--whole", "--no-graph"]
        subprocess.run(bulk, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for each in COMPLAINTS[:NEW]:
            emulator.put(each)
        for each in CHANGED:
            emulator.put(each | {"company_response": "Untimely response"})
        for each in WITHDRAWN:
            emulator.withdraw(each["complaint_id"])
        emulator.publish(date(2026, 10, 9))
        second = bulk if source == "bulk" else [*PROGRAM, "--api-url", api_url, "--no-graph"]
        second += [] if source == "bulk" else ["--since", "2000-01-01"]
        states = []
        with subprocess.Popen(
            second, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as loading:
            while loading.poll() is None:
                export_complaints("out", database="complaints.db")
                states.append(outcome_of_load(2))
    assert loading.returncode == 0
    print(f"{source}: {states}")
    assert "running" in states

    export_complaints("out", database="complaints.db")
    assert outcome_of_load(2) == "complete"
