"""Errors that Prefect causes, and errors while drawing the diagram."""

from __future__ import annotations

from cfpb_etl.errors import CfpbEtlError


class PictureError(CfpbEtlError):
    """Raised when the diagram of the flow cannot be drawn."""


class PrefectGoneError(CfpbEtlError):
    """Raised when Prefect's server is of no use, which does not affect a complete load."""


class PrefectUnreachableError(PrefectGoneError):
    """Raised when Prefect's API does not answer."""

    api_url: str
    detail: str
    cure: str  # how to remove the address from the user's settings
    problem = "Prefect's API at {api_url} does not answer ({detail})"
    remedy = "Start it with `prefect server start`, or {cure} to use a temporary server."


class PrefectRefusedError(PrefectGoneError):
    """Raised when Prefect's API does not accept the credentials in the user's settings."""

    api_url: str
    detail: str
    cure: str
    problem = "Prefect's API at {api_url} refuses this run ({detail})"
    remedy = (
        "Set PREFECT_API_AUTH_STRING to the server's PREFECT_SERVER_API_AUTH_STRING (for Prefect"
        " Cloud: PREFECT_API_KEY), or {cure} to use a temporary server."
    )


class NoPrefectApiError(PrefectGoneError):
    """Raised when the server in the user's settings has no API that this Prefect can use."""

    api_url: str
    detail: str
    cure: str
    problem = "The server at {api_url} has no API that this Prefect can use ({detail})"
    remedy = (
        "Check the address, which usually ends in /api, and the version of the server, or {cure} to"
        " use a temporary server."
    )


class UncountedRequestError(CfpbEtlError):
    """Raised when a worker cannot ask Prefect's server whether a request is allowed."""

    url: str
    reason: str
    problem = (
        "The workers of this run count their requests on Prefect's server at {url}, which one of"
        " them could not use ({reason})"
    )
    remedy = (
        "Start a Prefect server that all workers can reach, set PREFECT_API_URL to its address, and"
        " run again."
    )


class NoPrefectServerError(CfpbEtlError):
    """Raised when the settings name no server, and forbid temporary servers."""

    cure: str
    problem = "Prefect has no server for this run: PREFECT_SERVER_EPHEMERAL_ENABLED is false"
    remedy = "Set PREFECT_API_URL to the address of a server, or {cure} to use a temporary server."


class PrefectHomeError(CfpbEtlError):
    """Raised when Prefect's folder cannot have the temporary server's database."""

    home: str
    megabytes: int
    detail: str
    problem = "Prefect's folder {home} cannot be used ({detail})"
    remedy = "Set PREFECT_HOME to a folder that can be written, with {megabytes} MB of free space."


class SettingsFileError(CfpbEtlError):
    """Raised when Prefect cannot read a file of settings."""

    path: str
    detail: str
    cure: str
    problem = "Prefect cannot read its settings in {path} ({detail})"
    remedy = "Correct this file, or {cure}."


class SettingError(CfpbEtlError):
    """Raised when a setting of Prefect has a value that it cannot have."""

    name: str
    place: str
    detail: str
    cure: str
    problem = "Prefect's setting {name} in {place} is not valid ({detail})"
    remedy = "Correct it, or {cure}."


class SettingsError(CfpbEtlError):
    """Raised when Prefect cannot start because of its settings."""

    detail: str
    problem = "Prefect cannot start with its settings ({detail})"
    remedy = (
        "Check the variables that begin with PREFECT_, the files .env, prefect.toml and"
        " pyproject.toml in the current folder, and profiles.toml in PREFECT_HOME."
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


class PrefectFailedError(PrefectGoneError):
    """Raised when Prefect's temporary server fails or ends during a run."""

    detail: str
    problem = "Prefect's temporary server failed ({detail})"
    remedy = (
        "It needs 200 MB of memory, and space in PREFECT_HOME. If this happens again, start a"
        " server with `prefect server start`, and set PREFECT_API_URL to the address that it"
        " prints."
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
