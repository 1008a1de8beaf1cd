"""Where a setting of Prefect comes from, and which one keeps Prefect from starting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.orchestration.prefect_server import setting_origins
from cfpb_etl.orchestration.prefect_server.setting_origins import named_faults, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[[dict[str, str | bytes]], None]

URL = "http://127.0.0.1:1/api"
IN_PROFILE = 'active = "dev"\n[profiles.dev]\n{} = "{}"\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes files into the current folder, which has Prefect's home."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)

    def write_files(files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write_files


@pytest.mark.parametrize(
    ("files", "cure"),
    [
        (
            {"home/profiles.toml": IN_PROFILE.format("PREFECT_API_URL", URL)},
            "run `prefect config unset PREFECT_API_URL`",
        ),
        ({".env": f"PREFECT_API_URL={URL}"}, "remove PREFECT_API_URL from {folder}/.env"),
        (
            {"prefect.toml": f'[api]\nurl = "{URL}"'},
            "remove `url` from [api] in {folder}/prefect.toml",
        ),
        (
            {"pyproject.toml": f'[tool.prefect.api]\nurl = "{URL}"'},
            "remove `url` from [tool.prefect.api] in {folder}/pyproject.toml",
        ),
    ],
    ids=["profile", ".env", "prefect.toml", "pyproject.toml"],
)
def test_the_cure_of_a_setting_in_a_file(
    files: dict[str, str | bytes], cure: str, write: Write, tmp_path: Path
) -> None:
    """The cure names the command or the file."""
    write(files)

    assert origin_of("PREFECT_API_URL").cure == cure.format(folder=tmp_path)


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "prefect_api_url"])
def test_the_environment_precedes_files(
    name: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect uses the variable, in any case of its letters, so removing a file would not help."""
    write({".env": f"PREFECT_API_URL={URL}", "prefect.toml": f'api.url = "{URL}"'})
    monkeypatch.setenv(name, URL)

    assert origin_of("PREFECT_API_URL").cure == "run `unset PREFECT_API_URL`"


def test_the_cure_names_an_older_name_as_written(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some settings have several names. The user must remove the one that is set."""
    monkeypatch.setenv("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")

    cure = origin_of("PREFECT_SERVER_EPHEMERAL_ENABLED").cure

    assert cure == "run `unset PREFECT_SERVER_ALLOW_EPHEMERAL_MODE`"


def test_a_setting_from_elsewhere(write: Write) -> None:
    """For an unknown origin, the cure names Prefect's command that shows all origins."""
    assert "prefect config view --show-sources" in origin_of("PREFECT_API_URL").cure


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({".env": b"\xff\xfe"}, "{folder}/.env ('utf-8' codec"),
        ({"prefect.toml": "[a\n"}, "{folder}/prefect.toml (Expected ']'"),
        ({"prefect.toml": b'x = "\xe9"'}, "{folder}/prefect.toml ('utf-8' codec"),
        ({"prefect.toml": "tasks = 5"}, "{folder}/prefect.toml (it has a value where"),
        ({"pyproject.toml": "[a\n"}, "{folder}/pyproject.toml (Expected ']'"),
        ({"pyproject.toml": "tool.prefect = 5"}, "{folder}/pyproject.toml (it has a value where"),
        ({"home/profiles.toml": "[a\n"}, "{folder}/home/profiles.toml (Expected ']'"),
        ({"home/profiles.toml": "profiles = 5"}, "{folder}/home/profiles.toml (it has a value"),
        ({"home/profiles.toml": "profiles.a = 5"}, "{folder}/home/profiles.toml (it has a value"),
        (
            {"home/logging.yml": "version: [1"},
            "{folder}/home/logging.yml (ParserError: while parsing",
        ),
        ({"home/logging.yml": "version: $X"}, "{folder}/home/logging.yml (KeyError: 'X')"),
        ({"home/logging.yml": "text"}, "{folder}/home/logging.yml (AttributeError"),
        (
            {"prefect.toml": 'tasks.default_retries = "many"'},
            "PREFECT_TASKS_DEFAULT_RETRIES in {folder}/prefect.toml is not valid",
        ),
        (
            {".env": "PREFECT_API_REQUEST_TIMEOUT=soon"},
            "PREFECT_API_REQUEST_TIMEOUT in {folder}/.env is not valid",
        ),
        (
            {"home/profiles.toml": IN_PROFILE.format("PREFECT_LOGGING_LEVEL", "LOUD")},
            "PREFECT_LOGGING_LEVEL in {folder}/home/profiles.toml is not valid",
        ),
    ],
)
def test_a_broken_file(
    files: dict[str, str | bytes], words: str, write: Write, tmp_path: Path
) -> None:
    """The error names the file, and for a wrong value the setting too."""
    write(files)

    assert words.format(folder=tmp_path) in str(setting_origins._fault())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_TASKS_DEFAULT_RETRIES", "many"),
        ("PREFECT_TASK_DEFAULT_RETRIES", "-1"),
        ("PREFECT_CLIENT_CUSTOM_HEADERS", "{bad"),
        ("PREFECT_LOGGING_TO_API_BATCH_SIZE", "10"),
        ("PREFECT_API_URL", "http://[bad"),
        ("PREFECT_SERVER_EPHEMERAL_ENABLED", ""),
    ],
)
def test_a_wrong_value(
    name: str, value: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable as the user has written it."""
    monkeypatch.setenv(name, value)

    assert name in str(setting_origins._fault())


def test_a_folder_env_is_no_fault(write: Write) -> None:
    """A virtual environment can have the name .env. Prefect skips it."""
    Path(".env").mkdir()

    assert setting_origins._fault() is None


def test_a_line_of_env_that_is_no_setting_is_named_once(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """Prefect reads the file hundreds of times in a run."""
    write({".env": "no setting\n"})
    with named_faults():
        origin_of("PREFECT_API_URL")

    assert [record.getMessage() for record in caplog.records] == [
        "python-dotenv could not parse statement starting at line 1"
    ]


def test_another_error_is_not_one_of_prefects() -> None:
    """An error of this program's own code keeps its type."""
    with pytest.raises(ZeroDivisionError), named_faults():
        print(1 / 0)


@pytest.mark.parametrize(
    ("arguments", "files", "home", "words"),
    [
        (["graph"], {"prefect.toml": "[a\n"}, "home", "/prefect.toml (Expected ']'"),
        (
            ["--source", "sample"],
            {"home/profiles.toml": IN_PROFILE.format("PREFECT_TASKS_DEFAULT_RETRIES", "many")},
            "home",
            "PREFECT_TASKS_DEFAULT_RETRIES",
        ),
        (["--source", "sample"], {"a_file": ""}, "a_file", "/a_file cannot be used (it is a file)"),
    ],
    ids=["graph", "load", "home"],
)
def test_the_program_ends_with_one_line(
    arguments: list[str],
    files: dict[str, str | bytes],
    home: str,
    words: str,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing else is printed, and nothing is written."""
    write(files)
    monkeypatch.setenv("PREFECT_HOME", str(Path(home).absolute()))
    before = sorted(Path().iterdir())

    failed = subprocess.run(
        [sys.executable, "-m", "cfpb_etl.flow", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert failed.returncode == 1
    assert failed.stderr.startswith("failed: Prefect")
    assert words in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert failed.stdout == ""
    assert sorted(Path().iterdir()) == before
