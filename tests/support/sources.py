"""Runs of the flow for any source, also with fields that no parameter sets, such as a page size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cfpb_etl.flow import load_complaints
from cfpb_etl.parameters.load_parameters import LoadParameters

if TYPE_CHECKING:
    from pathlib import Path

    from prefect import Flow
    from prefect.client.schemas.objects import State

    from cfpb_etl.fetch.sources import AnySource


def load_source(
    source: AnySource,
    database: Path,
    graph: Path | None = None,
    *,
    flow: Flow[..., Any] = load_complaints,
    **parameters: Any,
) -> State[Any]:
    """Run the flow, and return its state.

    Args:
        source: The source that the parameters select.
        database: As for the flow.
        graph: As for the flow.
        flow: The flow, or the flow with other options.
        parameters: As for the flow.
    """
    with patch.object(LoadParameters, "to_source", lambda _parameters: source):
        run: Any = flow(database=database, graph=graph, return_state=True, **parameters)
    state: State[Any] = run
    return state
