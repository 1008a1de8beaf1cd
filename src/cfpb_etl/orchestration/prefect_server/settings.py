"""The settings of Prefect that this program sets itself, because the user's would change a run.

Importing this module does not import Prefect.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cfpb_etl.environment import proxy_variables
from cfpb_etl.orchestration.errors import PrefectHomeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect.settings import Settings

# docs/design.md, "Prefect's settings", has the settings that are not here, with the reasons.
_FOR_EVERY_RUN: dict[str, Any] = {
    # Each run makes this serializer, although no result is stored.
    "results.default_serializer": "pickle",
    # With "error", a log line of Prefect's client, which is outside a run, fails its request.
    "logging.to_api.when_missing_flow": "ignore",
}
# Prefect's defaults for its client, or less: the user's values are for the user's own server.
_FOR_THE_CLIENT: dict[str, Any] = {
    "api.auth_string": None,
    "api.key": None,
    "api.ssl_cert_file": "",
    "api.enable_http2": False,
    "api.request_timeout": 60.0,
    "client.csrf_support_enabled": False,
    # With another value, the client can take the temporary server for Prefect Cloud.
    "cloud.api_url": "https://api.prefect.cloud/api",
    "client.custom_headers": {},
    "client.max_retries": 5,
    "client.retry_extra_codes": set(),
    "client.retry_jitter_factor": 0.2,
    "client.server_version_check_enabled": False,
    "events.worker_max_queue_size": 0,
    # The client too checks these limits of the server.
    "server.api.max_parameter_size": 524_288,
    "server.events.maximum_labels_per_resource": 500,
    "server.events.maximum_related_resources": 100,
    "server.events.maximum_size_bytes": 1_500_000,
    "server.events.maximum_event_name_length": 1024,
    "ui_url": "",  # the temporary server has no web pages
}
_FOR_THE_SERVER = {
    # Without a network, the server's telemetry prints an ERROR.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # By default the server writes each event of a task run separately, which uses half a processor
    # core that the load needs. With batches, an event is written up to 5 s later.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    # Prefect sets this variable for its own temporary servers: no web pages, and few services.
    "PREFECT__SERVER_EPHEMERAL": "1",
    # No run needs Prefect's block types in the database. A server that the user starts registers
    # them. It would take them for registered if only the first of these two settings were off.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
_RETENTION = "PREFECT_SERVER_EVENTS_RETENTION_PERIOD"
# A new database of Prefect 3.9 has 0.7 MB, and its write-ahead log grows to 4.1 MB.
_HOME_MEGABYTES = 5
# A folder without .env, prefect.toml and pyproject.toml, which Prefect reads where it starts.
SERVER_FOLDER = Path(__file__).parent


def set_log_without_markup() -> None:
    """Let Prefect take no text for markup. Call this before Prefect is imported.

    The log quotes texts of users and servers, which may have square brackets.
    """
    name = "PREFECT_LOGGING_MARKUP"
    for each in [each for each in os.environ if each.upper() == name]:  # Prefect ignores the case
        del os.environ[each]
    os.environ[name] = "false"


@contextmanager
def settings_for_users_server() -> Iterator[None]:
    """Use the settings that a run needs, in this context, with a server in the user's settings."""
    with _settings(_FOR_EVERY_RUN):
        yield


@contextmanager
def settings_for_temporary_server(api_url: str) -> Iterator[Settings]:
    """Use the settings that a run needs, in this context, with the temporary server.

    Other contexts keep their settings, so other flows of this process do not use this server.

    Args:
        api_url: The temporary server's API.
    """
    from prefect.settings import get_current_settings

    changes = _FOR_EVERY_RUN | _FOR_THE_CLIENT | {"api.url": api_url}
    if "heartbeat_frequency" not in get_current_settings().flows.model_fields_set:
        # The end of each run would wait for the thread of the heartbeats, which sleeps for a second
        # at a time. They are for a server that outlives the run.
        changes["flows.heartbeat_frequency"] = None
    with _settings(changes) as settings:
        yield settings


@contextmanager
def _settings(changes: Mapping[str, Any]) -> Iterator[Settings]:
    from prefect.context import SettingsContext, get_settings_context

    context = get_settings_context()
    # Prefect's `temporary_settings` would merge our headers with the user's.
    settings = context.settings.model_copy(deep=True)
    for accessor, value in changes.items():
        *groups, name = accessor.split(".")
        group = reduce(getattr, groups, settings)
        if name in type(group).model_fields:  # another version of Prefect may not have it
            setattr(group, name, value)
    with SettingsContext(profile=context.profile, settings=settings):
        _start_metrics(settings)
        yield settings


def send_nothing(settings: Settings) -> None:
    """Let the threads that an interrupted run has abandoned send no events and log lines.

    Prefect would start a service for them, which would then serve the other flows of this process.
    """
    from pydantic import SecretStr

    settings.logging.to_api.enabled = False
    settings.server.ephemeral.enabled = False
    # Without a server, Prefect sends no events if there is a key.
    settings.api.url, settings.api.key = None, SecretStr("none")


def check_settings() -> None:
    """Check whether a temporary server can keep its database in Prefect's folder.

    If the user has chosen a database for Prefect, the run gets a warning, because the temporary
    server does not use it.

    Raises:
        PrefectHomeError: If the folder cannot be used.
    """
    from prefect.settings import get_current_settings

    from cfpb_etl.orchestration.reporting.run_log import warn

    settings = get_current_settings()
    check_home(settings.home)
    chosen = {
        "connection_url",
        "driver",
        "host",
        "name",
    } & settings.server.database.model_fields_set
    if chosen:
        warn(
            "the temporary Prefect server keeps this run in"
            f" {settings.home.absolute() / 'prefect.db'}, because the database in your settings is"
            " for your own server: start it with `prefect server start`, and set PREFECT_API_URL"
        )


class ServerSettings(NamedTuple):
    """What the temporary server has of the user's settings. All others are for their own server.

    Attributes:
        home: Prefect's folder, as an absolute path.
        retention: How long Prefect keeps events in its database there, as variables.
    """

    home: Path
    retention: dict[str, str]


def server_settings() -> ServerSettings:
    """Return what the temporary server has of the user's settings."""
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    vacuum = settings.server.services.db_vacuum.to_environment_variables(exclude_unset=True)
    events = settings.server.events.to_environment_variables(exclude_unset=True)
    retention = {name: value for name, value in events.items() if name == _RETENTION}
    return ServerSettings(settings.home.absolute(), vacuum | retention)


def server_environment(settings: ServerSettings) -> dict[str, str]:
    """Return the environment of the temporary server, for a process in `SERVER_FOLDER`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("PREFECT_")
        # uvicorn refuses to start several processes of one application object.
        and name != "WEB_CONCURRENCY"
        and name not in proxy_variables()
    }
    if paths := kept.get("PYTHONPATH"):
        absolute = map(os.path.abspath, paths.split(os.pathsep))
        kept["PYTHONPATH"] = os.pathsep.join(absolute)
    ours = {
        "PREFECT_HOME": str(settings.home),
        # This file does not exist, so Prefect uses its own profile.
        "PREFECT_PROFILES_PATH": str(SERVER_FOLDER / "profiles.toml"),
        "NO_PROXY": "*",  # the server's own clients connect to this computer
    }
    return kept | settings.retention | _FOR_THE_SERVER | ours


def check_home(home: Path) -> None:
    """Check whether a folder can have Prefect's database, and create it if it is missing.

    Raises:
        PrefectHomeError: If the folder cannot be used.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as trial:
            trial.write(bytes(_HOME_MEGABYTES * 1_000_000))
    except OSError as error:
        detail = "it is a file" if home.is_file() else error.strerror
        raise PrefectHomeError(
            home=home.absolute(), megabytes=_HOME_MEGABYTES, detail=detail
        ) from error


def _start_metrics(settings: Settings) -> None:
    """Start Prefect's metrics of its client if the user wants them. Without a port, go on without.

    Prefect would start them in the flow, where an error fails the run.
    """
    from prefect.utilities.services import start_client_metrics_server

    from cfpb_etl.orchestration.reporting.run_log import warn

    try:
        start_client_metrics_server()
    except OSError as error:
        port = settings.client.metrics.port
        warn(f"Prefect's metrics cannot use port {port} ({error.strerror}), and are off")
        settings.client.metrics.enabled = False
