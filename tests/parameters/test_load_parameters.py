"""The parameters of a load from Python: what is accepted, what is refused, and what they select."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.fetch.search_api import SEARCH_URL, SearchApi
from cfpb_etl.model.query import Query
from cfpb_etl.parameters.load_parameters import LoadParameters
from cfpb_etl.parameters.sample import served

SOME_DAY = date(2026, 10, 1)


@pytest.mark.parametrize(
    ("given", "query"),
    [
        ({"since": SOME_DAY}, {"since": "2026-10-01"}),
        ({"since": "2026-10-01", "until": datetime(2026, 10, 7)}, {"until": "2026-10-07"}),  # noqa: DTZ001
        ({"state": "ca"}, {"state": ("CA",)}),
        ({"state": ["CA", "ny"]}, {"state": ("CA", "NY")}),
        ({"product": "Mortgage"}, {"product": ("Mortgage",)}),
        ({"product": iter(["Mortgage", "Debt collection"])}, {}),
        ({"issue": ("Fees",), "company": ["A, INC."]}, {"issue": ("Fees",)}),
        ({"tag": "Servicemember", "zip_code": "391XX"}, {"zip_code": ("391XX",)}),
        ({"timely": "No", "submitted_via": "Phone"}, {"timely": "No"}),
        ({"company_response": ["In progress"], "search": "fee"}, {"search": "fee"}),
        ({"state": {"NY", "CA"}, "product": []}, {"state": ("CA", "NY"), "product": ()}),
        ({"state": None, "product": None, "since": SOME_DAY}, {"state": (), "product": ()}),
    ],
)
def test_a_filter_is_one_value_or_several(given: dict[str, Any], query: dict[str, Any]) -> None:
    """A text or a list of texts, a date or its text; None stands for no filter."""
    source = LoadParameters(**given).to_source()

    assert isinstance(source, SearchApi)
    assert source.limit is None
    assert {name: getattr(source.query, name) for name in query} == query


@pytest.mark.parametrize(
    ("parameter", "value", "reason"),
    [
        ("since", "2026-13-45", "YYYY-MM-DD"),
        ("since", "20261001", "YYYY-MM-DD"),
        ("since", 20261001, "YYYY-MM-DD"),
        ("until", datetime(2026, 10, 1, 9, tzinfo=UTC), "has a time of day"),
        ("until", True, "YYYY-MM-DD"),
        ("state", "XX", "CFPB filters by these"),
        ("state", ["CA", "XX"], "CFPB filters by these"),
        ("product", "", "give 1 to 200 characters"),
        ("product", ["Mortgage", None], "a list of texts"),
        ("product", {"Mortgage": 1}, "a list of texts"),
        ("product", b"Mortgage", "a list of texts"),
        ("issue", 5, "a list of texts"),
        ("company", [["EQUIFAX, INC."]], "a list of texts"),
        ("search", ["late", "fees"], "give a text"),
        ("tag", " ", "not all blank"),
        ("zip_code", 90210, "a list of texts"),
        ("zip_code", "9021", "five digits"),
        ("timely", "no", "'Yes' or 'No'"),
        ("timely", False, "'Yes' or 'No'"),
        ("source", "cfpb", "'api', 'bulk', 'archive' or 'sample'"),
        ("source", None, "'api', 'bulk', 'archive' or 'sample'"),
        ("limit", 0, "from 1"),
        ("limit", True, "is not a number"),
        ("limit", 2.5, "a whole number"),
        ("limit", object(), "is not a number"),
        ("state", {"CA", 5}, "a list of texts"),
        ("notify", "slack-webhook/team\n", "not an address"),
        ("limit", "many", "a whole number"),
        ("lookback", 36_501, "up to 36,500"),
        ("update", "perhaps", "true or false"),
        ("update", 2, "true or false"),
        ("allow_rejected", 1.5, "a number of rows, or a share below 1"),
        ("allow_rejected", float("nan"), "a number of rows, or a share below 1"),
        ("as_of", "2099-01-01", "a day until today"),
        ("date_order", "day first", "'month-first' or 'day-first'"),
        ("api_url", "ftp://example.org/", "http:// or https://"),
        ("api_url", "https://me:it@example.org/", "must not contain a user name"),
        ("file", "missing.csv", "does not exist"),
        ("file", ["https://me:it@example.org/x.zip"], "must not contain a user name"),
        ("graph", "flow.pdf", ".svg or .png"),
        ("graph", 5, "5 is not valid; give the path of a file"),
        ("database", 5, "5 is not valid; give the path of a file"),
        ("database", "missing/x.db", "folder that does not exist"),
        ("database", "a\0b", "not the path of a file"),
        ("notify", "https://hooks.example/T0", "not an address"),
    ],
)
def test_a_wrong_value_names_its_parameter(parameter: str, value: Any, reason: str) -> None:
    """The message has no line of a library, and no address with a login."""
    with pytest.raises(WrongParameterError) as raised:
        LoadParameters(**{parameter: value}).to_source()

    message = str(raised.value)
    assert raised.value.parameter == parameter
    assert message.startswith(f"`{parameter}` ")
    assert reason in message
    assert "pydantic" not in message
    assert "it@" not in message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "bulk", "state": "CA"}, "`state` works only with `source` api or sample"),
        ({"source": "bulk", "timely": "No"}, "`timely` works only with `source` api or sample"),
        ({"file": "x.csv"}, "`file` works only with `source` bulk or archive, not api"),
        ({"whole": True, "partial": True, "source": "bulk"}, "`whole` contradicts `partial`"),
        ({"lookback": 5}, "`lookback` works only with `update`"),
        ({"update": True, "tag": "Servicemember"}, "`update` repeats the query"),
        ({"since": "2026-10-02", "until": "2026-10-01"}, "`since` '2026-10-02' is not valid; it"),
        ({"restart": True}, "`restart` has no effect here"),
    ],
)
def test_values_that_exclude_each_other(
    given: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused before a source is asked or a database is opened."""
    monkeypatch.chdir(tmp_path)
    Path("x.csv").touch()

    with pytest.raises(WrongParameterError) as raised:
        LoadParameters(**given).to_source()

    assert str(raised.value).startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_nothing_selects_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """No door loads all 18 million complaints because a filter was forgotten."""
    monkeypatch.delenv("CFPB_ETL_API_URL", raising=False)

    assert LoadParameters().to_source() == SearchApi(limit=1_000, url=SEARCH_URL)
    assert LoadParameters(limit="5").to_source() == SearchApi(limit=5)  # type: ignore[arg-type]
    assert LoadParameters(since=SOME_DAY).to_source() == SearchApi(Query(since="2026-10-01"))


@pytest.mark.parametrize("graph", [None, "none", "None"])
def test_no_picture(graph: str | None) -> None:
    """Prefect's form cannot send None, so there is a word for it."""
    assert LoadParameters(graph=graph).picture is None
    assert LoadParameters().picture == Path("complaints-flow.svg")


def test_the_sample_is_served() -> None:
    """Its address exists only while the run needs it."""
    selected = LoadParameters(source="sample", limit=5).to_source()
    with served(selected) as source:
        assert isinstance(source, SearchApi)
        (part,) = source.parts()
        assert source.fetch(part).rows == 5

    assert LoadParameters(allow_rejected=Decimal("0.5")).allow_rejected == 0.5  # type: ignore[arg-type]


def test_a_file_is_a_path_or_its_text(tmp_path: Path) -> None:
    """One or several."""
    file = tmp_path / "x.csv"
    file.touch()

    for given in (file, str(file), [file], (str(file),)):
        assert LoadParameters(source="bulk", file=given).file == (str(file),)
