"""The second process, of the temporary server, which can start before Prefect is imported here.

Both processes then import Prefect at the same time. Importing this module does not import Prefect.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from cfpb_etl.child_process import start_child
from cfpb_etl.orchestration.errors import PrefectHomeError
from cfpb_etl.orchestration.prefect_server.settings import (
    SERVER_FOLDER,
    ServerSettings,
    check_home,
    server_environment,
)

# Settings that can name a server or a profile, or that the temporary server needs too.
_DECISIVE = re.compile(
    r"PREFECT_(API|SERVER|.*(API_URL|PROFILE|EPHEMERAL|VACUUM|RETENTION|TEST).*)"
)
_TRUE = {"1", "on", "t", "true", "y", "yes"}


class ServerProcess(NamedTuple):
    """A process of the temporary server.

    Attributes:
        settings: What the process has of the user's settings.
        port: The port that it opens.
        process: The process. What it prints can be read from its `stdout`.
    """

    settings: ServerSettings
    port: int
    process: subprocess.Popen[bytes]


_early: ServerProcess | None = None  # until a run uses it or ends it


def start_early() -> None:
    """Start the temporary server, unless Prefect's settings may have another server or folder.

    The settings are read here without Prefect, so they are compared when Prefect is imported.
    """
    global _early  # noqa: PLW0603 - there is one for each process
    home = _home_without_server()
    if home is None or _early is not None:
        return
    try:
        check_home(home)
    except PrefectHomeError:
        return  # the run raises the same error
    _early = _start(ServerSettings(home, {}))


def started_with(settings: ServerSettings) -> ServerProcess:
    """Return the process that was started early if it has these settings, or a new one."""
    global _early
    early, _early = _early, None
    if early is not None and early.settings == settings:
        return early
    _kill(early)
    return _start(settings)


def end_early() -> None:
    """End the process that was started early, because the run uses another server."""
    global _early
    early, _early = _early, None
    _kill(early)


def _start(settings: ServerSettings) -> ServerProcess:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    process = start_child(
        "cfpb_etl.orchestration.prefect_server.process",
        str(port),
        env=server_environment(settings),
        cwd=SERVER_FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return ServerProcess(settings, port, process)


def _kill(early: ServerProcess | None) -> None:
    if early is not None:
        early.process.kill()
        early.process.communicate()  # closes its pipes too


def _home_without_server() -> Path | None:
    """Return Prefect's folder; None if a setting may name a server or another folder."""
    try:
        if _folder_has_settings():
            return None
        found = {name.upper(): value for name, value in os.environ.items()}
        named = os.environ.get("PREFECT_HOME")
        if named == "" or named != found.pop("PREFECT_HOME", None):
            return None  # Prefect reads such a variable in another way
        home = Path(named or "~/.prefect").expanduser().absolute()
        settings = _profile(home / "profiles.toml") | found
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError):
        # Prefect's import names the fault.
        return None
    for name, value in settings.items():
        allows = "EPHEMERAL" in name and str(value).lower() in _TRUE
        if name == "PREFECT_HOME" or (_DECISIVE.fullmatch(name) and not allows):
            return None
    return home


def _folder_has_settings() -> bool:
    """Say whether a file in the current folder has settings of Prefect."""
    env, toml, pyproject = map(Path, (".env", "prefect.toml", "pyproject.toml"))
    if toml.exists() or (env.is_file() and b"PREFECT" in env.read_bytes().upper()):
        return True
    content = tomllib.loads(pyproject.read_text("utf-8")) if pyproject.exists() else {}
    return "prefect" in content.get("tool", {})


def _profile(path: Path) -> dict[str, Any]:
    """Return the settings of the active profile."""
    content = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return dict(content.get("profiles", {}).get(content.get("active"), {}))
