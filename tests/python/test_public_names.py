"""The public names, and what importing them needs."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import cfpb_etl
from support.program import environment_without_coverage

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"prefect", "pyarrow", "pydantic", "requests", "httpx", "sqlite3", "asyncio"}
LIGHT_NAMES = ["CfpbEtlError", "LoadStats", "__version__"]
PRINT_MODULES = """
import json, sys
{}
json.dump(sorted({{name.partition(".")[0] for name in sys.modules}}), sys.stdout)
"""


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a new Python has imported after some code."""
    program = [sys.executable, "-c", PRINT_MODULES.format(code)]
    environment = environment_without_coverage()  # coverage imports sqlite3
    done = subprocess.run(
        program, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


def test_the_package_imports_nothing_heavy() -> None:
    """Nor do its names that need nothing heavy, or looking at all names."""
    code = f"import cfpb_etl; dir(cfpb_etl); from cfpb_etl import {', '.join(LIGHT_NAMES)}"

    assert modules_after(code) & HEAVY == set()


def test_all_public_names_exist() -> None:
    """Each is listed once, and another name is the usual error."""
    assert sorted(cfpb_etl.__all__) == sorted({*cfpb_etl.__all__}) == sorted(dir(cfpb_etl))
    for name in cfpb_etl.__all__:
        assert getattr(cfpb_etl, name) == getattr(cfpb_etl, name)
    with pytest.raises(AttributeError, match="module 'cfpb_etl' has no attribute 'loads'"):
        cfpb_etl.loads  # noqa: B018 - it raises


def test_the_two_calls_have_the_same_parameters() -> None:
    """Editors show the parameters and the description of both."""
    sync, awaited = cfpb_etl.load_complaints, cfpb_etl.aload_complaints

    assert inspect.signature(sync) == inspect.signature(awaited)
    assert "zip_code" in inspect.signature(awaited).parameters
    assert sync.__doc__ == awaited.__doc__
    assert inspect.iscoroutinefunction(awaited)
    assert not inspect.iscoroutinefunction(sync)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("prefect.toml", "server = 3\n", "SettingsFileError: Prefect cannot read its settings in"),
        (".env", "PREFECT_API_REQUEST_TIMEOUT=soon\n", "SettingError: Prefect's setting PREFECT_"),
    ],
)
def test_settings_that_keep_prefect_from_starting_are_named(
    file: str, content: str, problem: str, tmp_path: Path
) -> None:
    """The import raises the error that the command line prints."""
    (tmp_path / file).write_text(content)

    failed = subprocess.run(
        [sys.executable, "-c", "from cfpb_etl import load_complaints"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(f"cfpb_etl.orchestration.errors.{problem}")


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"state": "XX"}, "`state` 'XX' is not valid"),
        ({"limit": 0}, "`limit` 0 is not valid"),
        ({"source": "bulk", "since": "2026-10-01"}, "`since` works only with `source` api"),
        ({"source": "bulk", "whole": True, "partial": True}, "`whole` contradicts `partial`"),
    ],
)
def test_a_wrong_parameter_is_named_before_anything_starts(
    parameters: dict[str, object], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong values and combinations need no server, however the flow is called."""
    from cfpb_etl.orchestration import local_flow

    monkeypatch.setattr(local_flow, "prefect_server", None)  # a server would fail
    for flow in (cfpb_etl.load_complaints, cfpb_etl.load_complaints.with_options(name="other")):
        for extra in ({}, {"return_state": True}):
            with pytest.raises(cfpb_etl.CfpbEtlError) as refused:
                flow(**parameters, **extra)  # type: ignore[call-overload]
            assert str(refused.value).startswith(problem)


@pytest.mark.parametrize("wrong", [{"stat": "CA"}, {"State": "CA"}])
def test_an_unknown_parameter_is_a_type_error(wrong: dict[str, str]) -> None:
    """It names the parameter in a line, as Python does."""
    with pytest.raises(TypeError) as refused:
        cfpb_etl.load_complaints(**wrong)  # type: ignore[call-overload]

    (name,) = wrong
    assert str(refused.value) == f"load_complaints() got an unexpected keyword argument '{name}'"
