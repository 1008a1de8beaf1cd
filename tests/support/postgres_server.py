"""A PostgreSQL server that runs until the tests end, whatever ends them.

`python -m support.postgres_server BINARIES` makes a cluster in a new folder, starts its server and
prints its folder and port. When its standard input ends, it stops the server and removes the
folder. Run by root, it gives the folder to another user, because the server refuses to run as root.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

USER, PASSWORD = "admin", "pass-word/@?#%25"  # of the cluster's superuser
_ATTEMPTS = 5  # another program can take a free port
_OTHER_USERS = ("postgres", "nobody")
_OPTIONS = (
    *("-F", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
    *("-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=32MB"),
    *("-c", "dynamic_shared_memory_type=mmap"),  # a container has little shared memory
)


def main() -> None:
    """Run the server until the standard input ends."""
    binaries = Path(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="cfpb-etl-postgres-", dir=_place()))
    try:
        run = _as_server_user(folder)
        password = folder / "password"
        password.write_text(PASSWORD, "utf-8")
        password.chmod(0o644)
        options = ["--no-locale", "--encoding=UTF8", "--no-sync", "--auth=scram-sha-256"]
        options += [f"--username={USER}", f"--pwfile={password}", f"--pgdata={folder / 'data'}"]
        subprocess.run(
            [binaries / "initdb", *options], check=True, stdout=subprocess.DEVNULL, **run
        )
        control: list[str | Path] = [binaries / "pg_ctl", "--silent", "--pgdata", folder / "data"]
        port = _start(control, folder, run)
        print(json.dumps({"folder": str(folder), "port": port}), flush=True)
        os.read(0, 1)
        subprocess.run([*control, "stop", "--mode=immediate"], check=False, **run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place() -> str | None:
    """Return a folder that other users can enter; None for the default one."""
    place = Path(tempfile.gettempdir())
    is_open = all(each.stat().st_mode & 1 for each in (place, *place.parents))
    return None if is_open or os.geteuid() else "/tmp"  # noqa: S108 - mkdtemp makes a folder in it


def _as_server_user(folder: Path) -> dict[str, Any]:
    """Return the arguments that run a program as the user of the server, and give it the folder."""
    arguments: dict[str, Any] = {"cwd": folder, "env": os.environ | {"LC_ALL": "C"}}
    if os.geteuid():
        return arguments
    for name in _OTHER_USERS:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            return arguments | {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise SystemExit(f"none of the users {', '.join(_OTHER_USERS)} exists")


def _start(control: list[str | Path], folder: Path, run: dict[str, Any]) -> int:
    for _ in range(_ATTEMPTS):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = int(server.getsockname()[1])
        options = " ".join([*_OPTIONS, "-p", str(port), "-k", str(folder)])
        start = [*control, "start", "--wait", "--log", folder / "log", "--options", options]
        if not subprocess.run(start, check=False, stdout=subprocess.DEVNULL, **run).returncode:
            return port
    raise SystemExit((folder / "log").read_text("utf-8"))


if __name__ == "__main__":
    main()
