"""The examples of docs/python.md, run as a script and in a notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from support.program import environment_without_coverage, query

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SCRIPT = [each for each in EXAMPLES if not re.search(r"^\S.*await ", each, re.MULTILINE)]
CELLS = [each for each in EXAMPLES if "asyncio.run(" not in each]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, without settings of Prefect."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for name in {*os.environ} - {*environment_without_coverage()}:
        monkeypatch.delenv(name)


def test_each_example_is_run() -> None:
    """A script cannot await at its top level, and a notebook cannot start a loop."""
    assert len(EXAMPLES) - 1 == len(SCRIPT) == len(CELLS)
    assert {*SCRIPT, *CELLS} == {*EXAMPLES}


def test_the_examples_as_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """All run in one process, which ends with exit code 0."""
    with serve(Emulator(generate_complaints(3_000))) as url:
        monkeypatch.setenv("CFPB_ETL_API_URL", url)
        done = subprocess.run(
            [sys.executable, "-c", "\n".join([*SCRIPT, "print(report())"])],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert re.fullmatch(r"\d+ new, 0 changed, 0 unchanged", printed[0])
    assert printed[1].startswith("`state` 'CALIFORNIA' is not valid; ")
    products = query("sample.db", "SELECT * FROM complaints_by_product LIMIT 3")
    assert printed[2:5] == [f"{product} {count}" for product, count, *_ in products]
    companies = query("sample.db", "SELECT * FROM complaints_by_company LIMIT 3")
    assert printed[5] == "company"
    shown = [re.split(r" {2,}", line) for line in printed[6:9]]
    assert shown == [[company, str(count)] for company, count, *_ in companies]
    assert printed[9:] == ["dtype: int64", "1000", "Completed", "100", "100"]
    assert query("ca.db", "SELECT outcome FROM load") == [("complete",)] * 2


def test_the_examples_in_a_notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A notebook has a running loop. A cell shows the steps of its load, and a short error."""
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    (tmp_path / "text.db").write_text("no database" * 100)
    failing = "load_complaints(source='sample', database='text.db')"
    notebook.cells = [nbformat.v4.new_code_cell(each) for each in [*CELLS, failing]]  # type: ignore[no-untyped-call]
    with serve(Emulator(generate_complaints(3_000))) as url:
        monkeypatch.setenv("CFPB_ETL_API_URL", url)
        resources = {"metadata": {"path": str(tmp_path)}}
        client = nbclient.NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources=resources, allow_errors=True
        )
        client.execute()

    outputs = [each for cell in notebook.cells for each in cell.outputs]
    (error,) = [each for each in outputs if each.output_type == "error"]
    # Prefect's log lines are shown by rich, which draws in notebooks.
    logged = [each.data for each in outputs if each.output_type == "display_data"]
    shown = "".join(each["text/plain"] for each in logged)
    assert "Stored page 1" in shown
    assert "Traceback" not in shown
    assert error.ename == "NotADatabaseError"
    assert len(error.traceback) < 10
    assert "/prefect/" not in "".join(error.traceback)
