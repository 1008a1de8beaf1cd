"""The names of runs: short, in words that Prefect's UI can show, and without secrets."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow, tags
from prefect.client.orchestration import get_client

from cfpb_etl import CfpbEtlError
from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.fetch.complaint_file import FilePart
from cfpb_etl.fetch.pages import Page
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.orchestration.reporting.run_names import in_words, name_of_task_run
from support.made_up import made_up
from support.prefect_runs import finished_task_runs

if TYPE_CHECKING:
    from pathlib import Path

ANYTHING = st.text(max_size=300)
LONGEST = 101  # a long name has two dots in its middle

FLOW_RUNS: dict[str, dict[str, Any]] = {
    "api, CA, Mortgage, since 2026-10-01": {
        "state": ("CA",),
        "product": "Mortgage",
        "since": "2026-10-01",
    },
    "api, 2026-10-01 to 2026-10-07": {"since": date(2026, 10, 1), "until": "2026-10-07"},
    "api, 2026-10-01": {"since": "2026-10-01", "until": date(2026, 10, 1)},
    "api, until 2026-10-07": {"until": "2026-10-07"},
    "api, newest 50,000, CA, NY, TX, 2 more": {
        "limit": 50_000,
        "state": ["CA", "NY", "TX", "PR", "FL"],
    },
    "api, update": {"update": True, "lookback": 90},
    'sample, restart, "late fees, again"': {
        "source": "sample",
        "restart": True,
        "search": "late fees, again",
    },
    "api, Servicemember, ZIP 391XX, timely No, Web, In progress": {
        "tag": "Servicemember",
        "zip_code": "391XX",
        "timely": "No",
        "submitted_via": ["Web"],
        "company_response": "In progress",
    },
    "bulk": {"source": "bulk", "file": ()},
    "bulk, complaints.csv.zip": {"source": "bulk", "file": "/data/2026/complaints.csv.zip"},
    "bulk, a.csv.zip": {"source": "bulk", "file": ["https://host.example/d/a.csv.zip"]},
    "bulk, env:CFPB_FILE": {"source": "bulk", "file": "env:CFPB_FILE"},
    "archive, 2011.zip, 2012.zip, 2013.zip, 1 more": {
        "source": "archive",
        "file": [f"files/{year}.zip" for year in range(2011, 2015)],
    },
    # No character of a product is a field of a format, and none is lost in the picture.
    "api, Checking - Savings {0} {parameters} %s 'a' \"b\" 1-2": {
        "product": ['Checking•Savings {0} {parameters} %s ’a’ "b" 1\u20132']
    },
    "api, Credit Agricole, Банк, 银行": {"company": ["Crédit Agricole", "Банк", "银行"]},
    r"api, a\x1b[31mb\nc\u202ed": {"issue": "a\x1b[31mb\nc\u202ed"},
    "api, newest 1,000": {},
    "sample, newest 1,000": {"source": "sample", "database": "sample.db"},
}


@pytest.mark.parametrize(("name", "parameters"), FLOW_RUNS.items(), ids=FLOW_RUNS)
def test_a_flow_run_is_named_by_what_it_asks_for(name: str, parameters: dict[str, Any]) -> None:
    """The name has the source, the filters and the days."""
    assert in_words(parameters) == name


@pytest.mark.parametrize(
    "file",
    [
        "https://host.example/a.csv.zip?token=very-secret",
        "https://me:very-secret@host.example/a.csv.zip",
        "https://very-secret@host.example/very-secret/a.csv.zip",
        "https://host.example/a.csv.zip#very-secret",
        "me:very-secret@host.example",
    ],
)
def test_the_name_of_a_flow_run_has_no_secret(file: str) -> None:
    """Only the name of a file is in it, and never its address or the address of the API."""
    parameters = {"source": "bulk", "file": file, "api_url": "https://me:very-secret@host/"}

    assert "secret" not in in_words(parameters)


@given(texts=st.lists(ANYTHING, max_size=9), one=ANYTHING)
def test_the_name_of_a_flow_run_is_one_short_line(texts: list[str], one: str) -> None:
    """This holds for any text of the user, which Prefect's server then accepts."""
    filters = ("state", "product", "issue", "company", "tag", "zip_code", "file")
    name = in_words({**dict.fromkeys(filters, texts), "search": one, "submitted_via": one})

    assert 0 < len(name) <= LONGEST
    assert name.encode("utf-8").decode().splitlines() == [name]
    assert "\0" not in name


def raw_part(part: Page | FilePart) -> RawPart:
    """Return a fetched part."""
    return RawPart(None, PartInfo(part, f"{part}, 7 complaints", 7, 7, 7, None))


PAGE = Page(100, "2020-01-01", "2023-12-31", 2)


@pytest.mark.parametrize(
    ("verb", "parameters", "name"),
    [
        ("fetch", {"source": None, "part": PAGE}, "fetch 2020-01-01 to 2023-12-31, page 2"),
        ("parse", {"raw": raw_part(PAGE)}, "parse 2020-01-01 to 2023-12-31, page 2"),
        ("store", {"parsed": raw_part(PAGE)}, "store 2020-01-01 to 2023-12-31, page 2"),
        ("fetch", {"part": FilePart("/d/März’s {part}.csv")}, "fetch Marz's {part}.csv"),
        ("fetch", {"part": FilePart("https://h.example/d/½.csv?q=secret")}, "fetch ½.csv"),
    ],
)
def test_a_task_run_is_named_by_its_verb_and_its_part(
    verb: str, parameters: dict[str, Any], name: str
) -> None:
    """The name has the days of a page in words, or the name of a file."""
    assert name_of_task_run(verb, parameters) == name


def test_prefect_has_the_names_and_tags(prefect_server: None, tmp_path: Path) -> None:
    """A run keeps its other tags, and its task runs get no other tags."""
    with serve(Emulator(made_up(20))) as url, tags("nightly"):
        state = load_complaints(
            database=tmp_path / "März {x}.db",
            graph=None,
            api_url=url,
            product="Mortgage•FHA {mortgage}",
            since="2024-01-01",
            return_state=True,
        )

    assert state.is_completed()
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(run_id)
    assert flow_run.name == "api, Mortgage - FHA {mortgage}, since 2024-01-01"
    assert {*flow_run.tags} == {"nightly", "source:api", "database:März {x}.db"}
    task_runs = finished_task_runs(run_id, 3)
    assert {each.name.partition(" ")[0] for each in task_runs} == {"fetch", "parse", "store"}
    assert {tag for each in task_runs for tag in each.tags} == {"nightly"}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"source": "bulk", "file": "missing.zip"}, "wrong file"),
        ({"limit": "many"}, "wrong limit"),
        ({"state": 5}, "wrong state"),
        ({"as_of": "2999-01-01", "source": "bulk"}, "wrong as_of"),
        ({"update": True, "state": "CA"}, "api, update, CA"),
    ],
)
def test_a_wrong_parameter_in_another_flow(
    prefect_server: None, parameters: dict[str, Any], name: str
) -> None:
    """The caller gets the error of this package, and the run a name that a person can read."""
    states: list[Any] = []

    @flow
    def calling() -> None:
        states.append(load_complaints(graph=None, return_state=True, **parameters))

    calling()

    (state,) = states
    assert isinstance(state.result(raise_on_failure=False), CfpbEtlError)
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name == name


def test_a_name_has_the_checked_values(prefect_server: None, tmp_path: Path) -> None:
    """A number can be text, as on the command line."""
    given: Any = {"limit": "20", "state": "ca", "database": tmp_path / "c.db", "graph": None}
    with serve(Emulator(made_up(20))) as url:
        state: Any = load_complaints(api_url=url, return_state=True, **given)

    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name == "api, newest 20, CA"
