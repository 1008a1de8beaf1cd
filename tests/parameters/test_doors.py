"""The command line, the flow and Prefect's deployments have the same parameters."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ParameterTypeError
from prefect.settings import PREFECT_API_URL
from prefect.utilities.schema_tools.validation import ValidationError, is_valid, validate

from cfpb_etl.cli.main import main
from cfpb_etl.errors import CfpbEtlError, ExitCode
from cfpb_etl.flow import load_complaints
from cfpb_etl.parameters.load_parameters import LoadParameters
from support.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [each.name for each in fields(LoadParameters)]
SCHEMA = load_complaints.parameters.model_dump()
ADDRESS = "https://example.org/x"


def refused(parameters: dict[str, Any]) -> str:
    """Return why Prefect's API refuses parameters, as it checks them; "" if it accepts them."""
    try:
        validate(parameters, SCHEMA, raise_on_error=True)
    except ValidationError as error:
        return str(error)
    return ""


def descriptions() -> dict[str, str]:
    """Return the description of each parameter."""
    text = inspect.getdoc(LoadParameters) or ""
    listed = text.partition("Attributes:\n")[2].partition("\n\nRaises:")[0]
    found = re.findall(r"^    (\w+): (.*?)(?=\n    \w|\Z)", listed, re.MULTILINE | re.DOTALL)
    return {name: " ".join(words.split()) for name, words in found}


def test_the_flow_has_all_parameters() -> None:
    """Their names, order, types, defaults and descriptions are those of the command line."""
    taken = inspect.signature(load_complaints.fn).parameters

    assert [*taken] == NAMES == [*SCHEMA["properties"]] == [*descriptions()]
    for each in fields(LoadParameters):
        assert taken[each.name].annotation == each.type
        assert taken[each.name].default == each.default
        described = SCHEMA["properties"][each.name]["description"]
        assert " ".join(described.split()) == descriptions()[each.name]
    assert "required" not in SCHEMA or SCHEMA["required"] == []


def test_the_command_line_has_all_parameters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has an option of its name, with the same description."""
    monkeypatch.setenv("COLUMNS", "500")  # each option is one line
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    options = {line.split()[1]: line for line in lines if line.startswith("│ --")}

    for name, words in descriptions().items():
        assert words in options.pop(f"--{name.replace('_', '-')}")
    assert {*options} == {"--help", "--version", "--verbose"}


def test_the_description_is_short() -> None:
    """The form shows it above the parameters; the lists of a docstring are not prose."""
    assert load_complaints.description
    assert "Args:" not in load_complaints.description
    assert len(load_complaints.description) < 400


# Texts in a list are repeated on the command line. Null stands for an option that is not given.
RIGHT: list[tuple[str, Any]] = [
    ("database", "data/complaints.db"),
    ("source", "bulk"),
    ("since", "2024-02-29"),
    ("since", None),
    ("until", "2026-10-01"),
    ("state", "ca"),
    ("state", ["CA", "NY"]),
    ("product", "A product of next year"),
    ("product", ["Mortgage•FHA mortgage", "Debt collection"]),
    ("issue", "Fees•Late fees"),
    ("company", "EQUIFAX, INC."),
    ("search", "late fees"),
    ("tag", ["Servicemember", "Older American, Servicemember"]),
    ("zip_code", ["94103", "391XX"]),
    ("timely", "No"),
    ("submitted_via", "Carrier pigeon"),
    ("company_response", ["In progress", "Closed with explanation"]),
    ("limit", 1),
    ("update", True),
    ("lookback", 36_500),
    ("restart", True),
    ("file", "data/x.csv"),
    ("file", ADDRESS),
    ("file", "env:CFPB_FILE"),
    ("allow_withdrawals", True),
    ("whole", True),
    ("partial", True),
    ("as_of", "2026-10-01"),
    ("date_order", "day-first"),
    ("allow_rejected", 0),
    ("allow_rejected", 0.25),
    ("allow_rejected", 1_000),
    ("api_url", "env:CFPB_URL"),
    ("api_url", "http://127.0.0.1:8080/a/é/"),
    ("graph", "flow.PNG"),
    ("graph", "none"),
    ("graph", None),
    ("notify", "slack-webhook/team"),
]
WRONG: list[tuple[str, Any]] = [
    ("database", 5),
    ("database", " "),
    ("database", ""),
    ("source", "cfpb"),
    ("source", None),
    ("since", "2026-13-45"),
    ("since", "2026-02-30"),
    ("since", "2023-02-29"),
    ("since", "2026-10-01\n"),
    ("since", "yesterday"),
    ("since", 20261001),
    ("until", "2026-10"),
    ("state", "XX"),
    ("state", ["CA", "XX"]),
    ("product", ""),
    ("product", "x" * 201),
    ("product", "Mortgage•FHA mortgage•Fees"),
    ("product", [5]),
    ("issue", "•Late fees"),
    ("company", [""]),
    ("search", " "),
    ("search", ["late"]),
    ("tag", "  "),
    ("zip_code", "9410"),
    ("zip_code", 94103),
    ("timely", "maybe"),
    ("timely", False),
    ("submitted_via", {"Web": 1}),
    ("company_response", ["In progress", None]),
    ("limit", 0),
    ("limit", True),
    ("limit", "many"),
    ("limit", 1_000_000_001),
    ("update", "sometimes"),
    ("lookback", 36_501),
    ("restart", "always"),
    ("file", f"{ADDRESS}?token=s3cret"),
    ("file", ["https://me:it@example.org/x"]),
    ("file", "s3://bucket/x.csv"),
    ("allow_withdrawals", 0.5),
    ("whole", "2026"),
    ("partial", []),
    ("as_of", "2026-10-1"),
    ("date_order", "day first"),
    ("allow_rejected", 1.5),
    ("allow_rejected", -1),
    ("api_url", f"{ADDRESS}?token=s3cret"),
    ("api_url", "https://me:it@example.org/"),
    ("api_url", "ftp://example.org/"),
    ("graph", "flow.pdf"),
    ("graph", "data/.svg"),
    ("notify", "https://hooks.example/T0"),
    ("notify", "team"),
    ("notify", "a/b/c"),
    ("notify", ""),
]


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_prefect_accepts_what_is_right(name: str, value: Any) -> None:
    """The schema of a deployment has no rule that the other doors do not have."""
    assert refused({name: value}) == ""


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_prefect_refuses_what_is_wrong(name: str, value: Any) -> None:
    """A wrong value ends the request for a run, and the message names the parameter."""
    assert f"'{name}'" in refused({name: value}).replace("[", "'[")


def test_days_are_those_of_the_calendar() -> None:
    """The pattern accepts each day of 28 years, and no other text of that form."""
    days = {date(2000, 1, 1) + timedelta(days) for days in range(28 * 366)}
    texts = {f"{y}-{m:02}-{d:02}" for y in range(2000, 2027) for m in range(14) for d in range(33)}
    pattern = re.compile(SCHEMA["properties"]["since"]["pattern"])

    accepted = {text for text in texts if pattern.search(text)}
    assert accepted == texts & {day.isoformat() for day in days}
    for text in ("1900-02-29", "2100-02-29", "0000-01-01", "2000-02-29 "):
        assert not pattern.search(text)


# Pieces of values that are nearly right. Files and folders are known only where the flow runs.
PIECES: dict[str, list[str]] = {
    "database": ["x.db", " ", "\0", "\ud800", "é"],
    "source": ["api", "bulk", "API"],
    "since": ["2026-10-01", "2023-02-29", "0000-01-01", "1-1-1", "٢", " ", "\n"],
    "state": ["CA", "ca", "X", " ", "\n"],
    "product": ["Mortgage", "•", " ", "\0", "\ud800", "\x1c", "\n", "x" * 99],
    "zip_code": ["94103", "391XX", "x", "９", "\n"],
    "timely": ["Yes", "No", "yes", "\n"],
    "date_order": ["day-first", "month-first", "-"],
    "file": ["http", "s3", "://", "h", "env:", "Secret:", "A", "?", ":", "@", "#", "%40", "[", "é"],
    "api_url": ["http", "://", "h.a", "/", "env:", "secret:", "@", "?", "#", "[::1]", ":", "65536"],
    "graph": ["x", ".svg", ".PNG", "none", ".", " ", "\0"],
    "notify": ["a-b", "/", ":", " ", "\n"],
}
SAME_PIECES = {
    "since": ("until", "as_of"),
    "product": ("issue", "company", "search", "tag", "submitted_via", "company_response"),
}
for _name, _others in SAME_PIECES.items():
    PIECES |= dict.fromkeys(_others, PIECES[_name])
# Without these, a parameter cannot be checked alone.
BESIDE: dict[str, dict[str, Any]] = {
    **{name: {"source": "bulk"} for name in ("file", "as_of", "date_order", "allow_rejected")},
    **{name: {"source": "bulk"} for name in ("allow_withdrawals", "whole", "partial")},
    "lookback": {"update": True, "database": __file__},
    "update": {"database": __file__},
    "restart": {"since": "2026-10-01"},
}
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, 1, 0.5, 1.5, 36_501, 1e9, 1e19])


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Return values of all types of JSON, and texts that are nearly right for a parameter."""
    text = st.text(max_size=3)
    if name in PIECES:
        piece = st.sampled_from(PIECES[name])
        text |= piece | st.lists(piece | text, max_size=5).map("".join)
    one = text | text | NUMBERS | st.booleans() | st.none()
    return one | st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=2), one, max_size=1)


@pytest.mark.parametrize("name", NAMES)
def test_prefect_accepts_nothing_that_the_flow_refuses(name: str) -> None:
    """A run that its parameters end at once is never created, except for files and folders."""

    @settings(max_examples=soak(60), deadline=None)
    @given(value=values_of(name))
    def is_refused_by_both(value: Any) -> None:
        parameters = {**BESIDE.get(name, {}), name: value}
        if is_valid(parameters, SCHEMA):
            try:
                LoadParameters(**parameters).to_source()
            except CfpbEtlError as error:
                assert re.search("folder|not exist|path of a file|until today", str(error))  # noqa: PT017

    is_refused_by_both()


# --- all doors ------------------------------------------------------------------------------


def through_prefect(deployment: object, parameters: dict[str, Any]) -> str:
    """Create a run of a deployment, due in a hundred years; return why it is refused, or ""."""
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2126-01-01T00:00:00Z"}}
    answer = httpx.post(
        f"{PREFECT_API_URL.value()}/deployments/{deployment}/create_flow_run",
        json={"parameters": parameters, "state": later},
        timeout=60,
    )
    assert answer.status_code in (201, 409)
    return "" if answer.status_code == 201 else str(answer.json()["detail"])


def through_python(parameters: dict[str, Any]) -> str:
    """Check the parameters as a call of the flow does; return why they are refused, or ""."""
    try:
        LoadParameters(**load_complaints.validate_parameters(parameters)).to_source()
    except (ParameterTypeError, CfpbEtlError) as error:
        return str(error)
    return ""


RIGHT_WHEN_TYPED = [("database", 5), ("zip_code", 94103)]
SWITCHES = {name for name in NAMES if SCHEMA["properties"][name].get("type") == "boolean"}


def options_for(parameters: dict[str, Any]) -> list[str]:
    """Return the parameters as they are typed on the command line."""
    words: list[str] = []
    for name, value in parameters.items():
        option = f"--{name.replace('_', '-')}"
        if name == "graph" and value is None:
            words.append("--no-graph")
        elif value is True:
            words.append(option)
        elif value is not None:
            texts = value if isinstance(value, list) else [value]
            words += [word for text in texts for word in (option, str(text))]
    return words


def is_wrong_when_typed(value: Any) -> bool:
    """Say whether a wrong value stays the same and wrong on the command line.

    All that is typed is text, a list of one is one, and secret addresses are not stored.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value < 1e6
    is_text = isinstance(value, str) and "token" not in value
    return is_number or is_text or value == ["CA", "XX"]


def through_the_command_line(parameters: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Type a command; return why it is refused, or ""."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(options_for(parameters))
    return capsys.readouterr().err if ended.value.code == ExitCode.WRONG_COMMAND else ""


@pytest.mark.slow
def test_all_doors_take_what_is_right_and_refuse_what_is_wrong(
    prefect_server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong value gets a 4xx from a real server, an error in Python, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cfpb_etl.cli.run.run", lambda *_args, **_options: ExitCode.DONE)
    server_process = "cfpb_etl.orchestration.prefect_server.server_process"
    monkeypatch.setattr(f"{server_process}.start_early", lambda: None)  # no run would end it
    monkeypatch.setenv("CFPB_FILE", ADDRESS)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").touch()
    deployment = RunnerDeployment.from_flow(load_complaints, name="doors").apply()

    assert {name for name, _ in RIGHT} == {name for name, _ in WRONG} == {*NAMES}
    for name, value in RIGHT:
        parameters = {**BESIDE.get(name, {}), name: value}
        assert through_prefect(deployment, parameters) == "", (name, value)
        assert through_python(parameters) == "", (name, value)
        assert through_the_command_line(parameters, capsys) == "", (name, value)
    for name, value in WRONG:
        parameters = {**BESIDE.get(name, {}), name: value}
        assert f"'{name}" in through_prefect(deployment, parameters), (name, value)
        assert name in through_python(parameters), (name, value)
        if (
            is_wrong_when_typed(value)
            and name not in SWITCHES
            and (name, value) not in (RIGHT_WHEN_TYPED)
        ):
            typed = through_the_command_line(parameters, capsys)
            assert f"--{name.replace('_', '-')}" in typed, (name, value)
