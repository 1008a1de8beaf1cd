"""The settings of Prefect that this program sets itself, because the user's would change a run.

Importing this module does not import Prefect.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cfpb_etl.model.events import Warned, emit
from cfpb_etl.orchestration.errors import PrefectHomeError

if TYPE_CHECKING:
    from collections.abc import Mapping

# docs/design.md, "Prefect's settings", has the settings that are not here, with the reasons.
_FOR_EVERY_RUN = {
    # Each run makes this serializer, although no result is stored.
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "pickle",
    # With "error", a log line of Prefect's client, which is outside a run, fails its request.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # The log quotes texts of users and servers. Their square brackets are not markup.
    "PREFECT_LOGGING_MARKUP": "false",
}
# Prefect's defaults for its client, or less: the user's values are for the user's own server.
_FOR_THE_CLIENT = {
    "PREFECT_API_AUTH_STRING": "",
    "PREFECT_API_KEY": "",
    "PREFECT_API_SSL_CERT_FILE": "",
    "PREFECT_API_ENABLE_HTTP2": "false",
    "PREFECT_API_REQUEST_TIMEOUT": "60",
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    # With another value, the client can take the temporary server for Prefect Cloud.
    "PREFECT_CLOUD_API_URL": "https://api.prefect.cloud/api",
    "PREFECT_CLIENT_CUSTOM_HEADERS": "{}",
    "PREFECT_CLIENT_MAX_RETRIES": "5",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "",
    "PREFECT_CLIENT_RETRY_JITTER_FACTOR": "0.2",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_EVENTS_WORKER_MAX_QUEUE_SIZE": "0",
    # The client too checks these limits of the server.
    "PREFECT_SERVER_API_MAX_PARAMETER_SIZE": "524288",
    "PREFECT_SERVER_EVENTS_MAXIMUM_LABELS_PER_RESOURCE": "500",
    "PREFECT_SERVER_EVENTS_MAXIMUM_RELATED_RESOURCES": "100",
    "PREFECT_SERVER_EVENTS_MAXIMUM_SIZE_BYTES": "1500000",
    "PREFECT_SERVER_EVENTS_MAXIMUM_EVENT_NAME_LENGTH": "1024",
    "PREFECT_UI_URL": "",  # the temporary server has no web pages
}
_FOR_THE_SERVER = {
    # Without a network, the server's telemetry prints an ERROR.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # By default the server writes each event of a task run separately, which uses half a processor
    # core that the load needs. With batches, an event is written up to 5 s later.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
}
_RETENTION = "PREFECT_SERVER_EVENTS_RETENTION_PERIOD"
# A new database of Prefect 3.9 has 0.7 MB, and its write-ahead log grows to 4.1 MB.
_HOME_MEGABYTES = 5
# A folder without .env, prefect.toml and pyproject.toml, which Prefect reads where it starts.
SERVER_FOLDER = Path(__file__).parent


def set_for_every_run() -> None:
    """Set what each run from the command line needs. Call this before Prefect is imported."""
    _set(_FOR_EVERY_RUN)


def set_for_users_server() -> None:
    """Set what the client needs for a server in the user's settings."""
    _start_metrics()


def set_for_temporary_server(api_url: str) -> None:
    """Set what the client needs for the temporary server, instead of the user's own server.

    If the user has chosen a database for Prefect, the run gets a warning, because the temporary
    server does not use it.

    Args:
        api_url: The temporary server's API.

    Raises:
        PrefectHomeError: If the server cannot keep its database in Prefect's folder.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    _check_home(settings.home)
    chosen = {
        "connection_url",
        "driver",
        "host",
        "name",
    } & settings.server.database.model_fields_set
    if chosen:
        emit(
            Warned(
                "the temporary Prefect server keeps this run in"
                f" {settings.home.absolute() / 'prefect.db'}, because the database in your settings"
                " is for your own server: start it with `prefect server start`, and set"
                " PREFECT_API_URL"
            )
        )
    # Each of these variables has a whole group of settings, as JSON.
    for group in ("PREFECT_API", "PREFECT_CLIENT", "PREFECT_EVENTS", "PREFECT_SERVER"):
        os.environ.pop(group, None)
    _set(_FOR_THE_CLIENT | {"PREFECT_API_URL": api_url})
    refresh_global_settings_context()
    _start_metrics()


def server_environment() -> dict[str, str]:
    """Return the environment of the temporary server, for a process in `SERVER_FOLDER`.

    Of the user's settings it has Prefect's folder, and how long Prefect keeps events in its
    database there. All others are for the user's own server.
    """
    from prefect.settings import DEFAULT_PROFILES_PATH, get_current_settings

    settings = get_current_settings()
    kept = {
        name: value
        for name, value in os.environ.items()
        # uvicorn refuses to start several processes of one application object.
        if not name.upper().startswith("PREFECT_") and name != "WEB_CONCURRENCY"
    }
    if paths := kept.get("PYTHONPATH"):
        absolute = map(os.path.abspath, paths.split(os.pathsep))
        kept["PYTHONPATH"] = os.pathsep.join(absolute)
    vacuum = settings.server.services.db_vacuum.to_environment_variables(exclude_unset=True)
    events = settings.server.events.to_environment_variables(exclude_unset=True)
    retention = {name: value for name, value in events.items() if name == _RETENTION}
    ours = {
        "PREFECT_HOME": str(settings.home.absolute()),
        "PREFECT_PROFILES_PATH": str(DEFAULT_PROFILES_PATH),
    }
    return kept | vacuum | retention | _FOR_THE_SERVER | ours


def _set(settings: Mapping[str, str]) -> None:
    """Set environment variables, which precede all other settings. Prefect ignores their case."""
    for name in [name for name in os.environ if name.upper() in settings]:
        del os.environ[name]
    os.environ.update(settings)


def _check_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as trial:
            trial.write(bytes(_HOME_MEGABYTES * 1_000_000))
    except OSError as error:
        detail = "it is a file" if home.is_file() else error.strerror
        raise PrefectHomeError(
            home=home.absolute(), megabytes=_HOME_MEGABYTES, detail=detail
        ) from error


def _start_metrics() -> None:
    """Start Prefect's metrics of its client if the user wants them. Without a port, go on without.

    Prefect would start them in the flow, where an error fails the run.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings
    from prefect.utilities.services import start_client_metrics_server

    try:
        start_client_metrics_server()
    except OSError as error:
        port = get_current_settings().client.metrics.port
        emit(Warned(f"Prefect's metrics cannot use port {port} ({error.strerror}), and are off"))
        _set({"PREFECT_CLIENT_METRICS_ENABLED": "false"})
        refresh_global_settings_context()
