"""The Prefect server in the user's settings."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from cfpb_etl.environment import through_proxy
from cfpb_etl.orchestration.errors import (
    NoPrefectApiError,
    NoPrefectServerError,
    PrefectGoneError,
    PrefectRefusedError,
    PrefectUnreachableError,
    SettingError,
)
from cfpb_etl.orchestration.prefect_server.loopback import loopback_direct
from cfpb_etl.orchestration.prefect_server.setting_origins import origin_of
from cfpb_etl.orchestration.prefect_server.settings import settings_for_users_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.errors import CfpbEtlError

_REFUSED = (401, 403)


class UsersServer:
    """The Prefect server in the user's settings.

    Attributes:
        api_url: The address of Prefect's API.
        died: Never set, because a server that does not answer may come back.
    """

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url
        self.died = threading.Event()

    def start(self) -> None:
        """Do nothing, because the user starts this server."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Check that the server answers, and prepare Prefect's client in this context.

        Raises:
            NoPrefectServerError: If the settings have no server.
            PrefectGoneError: If the server does not answer, or cannot be used.
            SettingError: If there are no certificates for the connection.
        """
        with loopback_direct(self.api_url), settings_for_users_server():
            self._wait()
            yield

    def _wait(self) -> None:
        if not self.api_url:
            raise NoPrefectServerError(cure=origin_of("PREFECT_SERVER_EPHEMERAL_ENABLED").cure)
        failure: Exception | None
        try:
            with get_client(sync_client=True) as client:
                failure = client.api_healthcheck()
                if failure is None and get_current_settings().client.server_version_check_enabled:
                    client.raise_for_api_version_mismatch_once()
        except OSError as error:  # all others are returned; this one is of the certificates
            origin = origin_of("PREFECT_API_SSL_CERT_FILE")
            raise SettingError(**origin._asdict(), detail=str(error)) from error
        except RuntimeError as error:  # of the check of the version
            failure = error.__cause__ if isinstance(error.__cause__, Exception) else error
        except Exception as error:  # noqa: BLE001 - the address is not one of HTTP
            failure = error
        if failure is not None:
            raise self.named(failure)

    def named(self, error: Exception) -> CfpbEtlError:
        """Turn an error of Prefect's client into one that says what to do next."""
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        kind: type[PrefectGoneError] = PrefectUnreachableError
        if status in _REFUSED:
            kind = PrefectRefusedError
        elif status == httpx.codes.NOT_FOUND or isinstance(error, RuntimeError):
            kind = NoPrefectApiError
        return kind(
            api_url=_without_login(self.api_url),
            detail=_without_login(" ".join(str(error).split())) + through_proxy(self.api_url),
            cure=origin_of("PREFECT_API_URL").cure,
        )

    def kill(self) -> None:
        """Do nothing, because the server belongs to the user."""


def _without_login(text: str) -> str:
    return re.sub(r"//[^/\s]*@", "//", text)
