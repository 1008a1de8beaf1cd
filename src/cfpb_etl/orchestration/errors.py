"""Errors that Prefect causes, and errors while drawing the diagram."""

from __future__ import annotations

from cfpb_etl.errors import CfpbEtlError


class PictureError(CfpbEtlError):
    """Raised when the diagram of the flow cannot be drawn."""


class PrefectUnreachableError(CfpbEtlError):
    """Raised when Prefect's API does not answer."""

    api_url: str
    detail: str
    problem = "Prefect's API at {api_url} does not answer ({detail})"
    remedy = (
        "Start it with `prefect server start`, or unset PREFECT_API_URL to use a temporary server."
    )


class PrefectNotStartedError(CfpbEtlError):
    """Raised when Prefect's temporary server does not start."""

    detail: str
    problem = "Prefect's temporary server did not start ({detail})"
    remedy = (
        "Run again; or start a server with `prefect server start`, and set PREFECT_API_URL to the"
        " address that it prints. If a newer Prefect has run here before, its database is too new"
        " for this one: `pip install -U prefect`, or set PREFECT_HOME to a new folder."
    )


class NoNotificationBlockError(CfpbEtlError):
    """Raised when `--notify` does not name a notification block."""

    name: str
    detail: str
    problem = "--notify {name!r} is not the name of a notification block ({detail})"
    remedy = (
        "Use TYPE/NAME as `prefect block ls` lists them, such as slack-webhook/team. Create one"
        " with `prefect block create slack-webhook`, which prints a page of the Prefect UI to open,"
        " or in Python: from prefect.blocks.notifications import SlackWebhook;"
        " SlackWebhook(url=ADDRESS).save('team')"
    )
