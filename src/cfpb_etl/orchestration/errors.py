"""What can be wrong with Prefect, and with what it is asked to do."""

from __future__ import annotations

from cfpb_etl.errors import CfpbEtlError


class PictureError(CfpbEtlError):
    """Raised when the flow's picture could not be drawn."""


class PrefectUnreachableError(CfpbEtlError):
    """Raised when Prefect's API does not answer.

    Attributes:
        api_url: Its address.
    """

    def __init__(self, api_url: str, detail: str) -> None:
        self.api_url = api_url
        super().__init__(
            f"Prefect's API at {api_url} does not answer ({detail}). Start it with "
            "`prefect server start`, or unset PREFECT_API_URL to use a temporary one."
        )


class PrefectNotStartedError(CfpbEtlError):
    """Raised when Prefect's temporary server does not come up."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"Prefect's temporary server did not start ({detail}). Run again; or start a server"
            " with `prefect server start`, and set PREFECT_API_URL to the address that it prints."
            " If a newer Prefect has run here before, its database is too new for this one:"
            " `pip install -U prefect`, or set PREFECT_HOME to a new folder."
        )


class NoNotificationBlockError(CfpbEtlError):
    """Raised when the block that is to be told of a failure is not among Prefect's.

    Attributes:
        name: What was given.
        detail: What is wrong with it.
    """

    def __init__(self, name: str, detail: str) -> None:
        self.name = name
        self.detail = detail
        super().__init__(
            f"--notify {name!r} names no notification block ({detail}). Give TYPE/NAME as"
            " `prefect block ls` lists them, such as slack-webhook/team. To make that one:"
            " `prefect block create slack-webhook` tells the page of your Prefect server, and"
            " without a server, in Python: from prefect.blocks.notifications import SlackWebhook;"
            " SlackWebhook(url=ADDRESS).save('team')"
        )
