"""The deployments of prefect.yaml, and the served flows of flows/, say the same."""

from __future__ import annotations

import importlib
import runpy
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types of its own
from prefect.utilities.schema_tools.validation import validate

from cfpb_etl.flow import load_complaints
from support.deployed import ROOT

DEPLOYED = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
SERVED = sorted((ROOT / "flows").glob("*.py"))


@pytest.mark.parametrize("deployment", DEPLOYED, ids=lambda each: each["name"])
def test_the_parameters_are_right(
    deployment: dict[str, Any], path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect's API and the flow accept them."""
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    monkeypatch.chdir(path.parent)
    (path.parent / "complaints.db").touch()  # an update needs a database

    validate(
        deployment["parameters"],
        flow.parameters.model_dump(),
        raise_on_error=True,
        allow_none_with_default=True,
    )
    flow._check(**deployment["parameters"])


@pytest.mark.parametrize("program", SERVED, ids=lambda each: each.stem)
def test_a_served_flow_is_the_deployment(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, its schedule and its parameters are those of prefect.yaml."""
    served: list[dict[str, Any]] = []
    monkeypatch.setattr(
        type(load_complaints), "serve", lambda _flow, **kwargs: served.append(kwargs)
    )

    runpy.run_path(str(program), run_name="__main__")

    (options,) = served
    (deployment,) = (each for each in DEPLOYED if f"served-{each['name']}" == options["name"])
    assert program.stem == deployment["name"].replace("-", "_")
    assert (
        [options["rrule"]]
        if "rrule" in options
        else [each["rrule"] for each in deployment["schedules"]] == []
    )
    assert options["parameters"] == deployment["parameters"]


def test_each_deployment_can_be_served() -> None:
    """There is a file for each."""
    assert len(SERVED) == len(DEPLOYED)
