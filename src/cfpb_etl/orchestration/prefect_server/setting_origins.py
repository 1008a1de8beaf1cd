"""Where a setting of Prefect comes from, and which setting keeps Prefect from starting.

Importing this module does not import Prefect: Prefect reads its settings while it is imported.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import tomllib
import traceback
import warnings
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.orchestration.errors import SettingError, SettingsError, SettingsFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prefect.settings.base import PrefectBaseSettings
    from pydantic_settings import PydanticBaseSettingsSource

    Model = type[PrefectBaseSettings]


_IN_THIS_FOLDER = (Path(".env"), Path("prefect.toml"), Path("pyproject.toml"))
_NO_TABLE = "it has a value where Prefect expects a table"


class Origin(NamedTuple):
    """Where the user has set a setting.

    Attributes:
        name: The setting, as it is written there.
        place: The place in words.
        cure: How to remove the setting, as the end of a sentence with "or".
    """

    name: str
    place: str
    cure: str


def origin_of(variable: str) -> Origin:
    """Return where the user has set a setting, such as PREFECT_API_URL."""
    from prefect.settings import Settings

    for model in _models(Settings):
        for field in model.model_fields:
            if variable in _names(model, field) and (origin := _origin(model, field)):
                return origin
    cure = f"remove {variable} from your settings (`prefect config view --show-sources`)"
    return Origin(variable, "your settings", cure)


@contextmanager
def named_faults() -> Iterator[None]:
    """Name the file or the setting that keeps Prefect from being imported in this context.

    Raises:
        CfpbEtlError: Instead of Prefect's own error.
    """
    logging.getLogger("dotenv.main").addFilter(_once())
    messages = io.StringIO()
    try:
        with warnings.catch_warnings():
            # The run names these faults itself.
            warnings.filterwarnings("ignore", "Failed to (create the Prefect home|load profiles)")
            # About a fault, Prefect prints several lines here, and goes on until the next import.
            with redirect_stderr(messages):
                import prefect  # noqa: F401
            yield
    except CfpbEtlError:
        raise
    except Exception as error:
        frames = traceback.walk_tb(error.__traceback__)
        modules = {str(frame.f_globals.get("__name__")) for frame, _ in frames}
        if not any(name.partition(".")[0] == "prefect" for name in modules | {_missing(error)}):
            raise
        named: CfpbEtlError = SettingsError(detail=_in_one_line(error))
        # The search for the fault meets the same fault, and the same warnings.
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            named = _fault() or named
        raise named from error
    if sys.stderr and messages.tell():  # a process without a console has no stderr
        with suppress(OSError):  # its disk may be full
            sys.stderr.write(messages.getvalue())


def _once() -> Callable[[logging.LogRecord], bool]:
    """Return a filter for messages: Prefect reads .env hundreds of times in a run."""
    shown: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        new = text not in shown
        shown.add(text)
        return new

    return is_new


def _missing(error: Exception) -> str:
    # If an attribute is missing while `prefect.main` is imported, Python says that `prefect` has no
    # `flow`.
    return str(error.name) if isinstance(error, ImportError) else ""


def _fault() -> CfpbEtlError | None:
    from prefect.settings import Settings

    for path in (*_IN_THIS_FOLDER, _profiles()):
        if detail := _unreadable(path):
            return _file_error(path, detail)
    *inner, root = _models(Settings)
    for model in inner:
        if fault := _fault_of_files(model) or _fault_of_values(model):
            return fault
    if fault := _fault_of_files(root) or _fault_of_address() or _fault_of_values(root):
        return fault
    logging_yml = Settings().logging.config_path
    if logging_yml.exists():
        from prefect.logging.configuration import load_logging_config

        try:
            load_logging_config(logging_yml)
        except Exception as fault:  # noqa: BLE001 - YAML's, the template's, or of another shape
            return _file_error(logging_yml, _in_one_line(fault))
    return None


def _file_error(path: Path, detail: str) -> SettingsFileError:
    cure = "run in another folder" if path in _IN_THIS_FOLDER else "move it away"
    return SettingsFileError(path=path.absolute(), detail=detail, cure=cure)


def _profiles() -> Path:
    with suppress(Exception):  # Prefect's own search meets the same fault
        from prefect.settings.sources import _get_profiles_path

        return _get_profiles_path()
    home = os.environ.get("PREFECT_HOME") or Path("~", ".prefect")
    path = os.environ.get("PREFECT_PROFILES_PATH") or Path(home, "profiles.toml")
    return Path(path).expanduser()


def _unreadable(path: Path) -> str:
    """Return why a file cannot be read; "" if it can be read or does not exist."""
    try:
        # Prefect skips a folder .env, which may be a virtual environment.
        exists = path.is_file() if path.name == ".env" else path.exists()
        text = path.read_text("utf-8") if exists else ""
        content = tomllib.loads(text) if path.suffix == ".toml" else {}
    except (OSError, ValueError) as error:
        return _in_one_line(error)
    profiles = content.get("profiles", {}) if path == _profiles() else {}
    is_table = isinstance(profiles, dict)
    if not is_table or not all(isinstance(each, dict) for each in profiles.values()):
        return _NO_TABLE
    return ""


def _fault_of_files(model: Model) -> CfpbEtlError | None:
    """Return the error of a file whose tables are not what Prefect expects."""
    from prefect.settings import sources
    from pydantic_settings.exceptions import SettingsError as UnreadableValueError

    for path, source in (
        ("prefect.toml", sources.PrefectTomlConfigSettingsSource),
        ("pyproject.toml", sources.PyprojectTomlConfigSettingsSource),
        (_profiles(), sources.ProfileSettingsTomlLoader),
    ):
        if not Path(path).exists():
            continue
        try:
            settings = source(model)
        except Exception:  # noqa: BLE001 - each shape has its own error
            return _file_error(Path(path), _NO_TABLE)
        try:
            settings()
        except UnreadableValueError:
            continue  # `_fault_of_values` names the setting
        except Exception as error:  # noqa: BLE001 - each type has its own error
            return _file_error(Path(path), _in_one_line(error))
    return None


def _fault_of_values(model: Model) -> CfpbEtlError | None:
    """Return the error of a setting with a wrong value."""
    from pydantic import ValidationError
    from pydantic_settings.exceptions import SettingsError as UnreadableValueError

    try:
        model()
    except ValidationError as error:
        first = error.errors()[0]
        detail = first["msg"]
        key = str(first["loc"][0]).upper() if first["loc"] else ""
    except UnreadableValueError as error:
        detail = _in_one_line(error.__cause__ or error)
        quoted = re.search('field "([^"]+)"', str(error))
        key = quoted[1].upper() if quoted else ""
    else:
        return None
    for field in model.model_fields:
        if key in (field.upper(), *_names(model, field)) and (origin := _origin(model, field)):
            return SettingError(**origin._asdict(), detail=detail)
    return SettingsError(detail=detail)


def _fault_of_address() -> CfpbEtlError | None:
    """Return the error of an address that cannot be parsed, which Prefect's error does not name."""
    from prefect.settings.models.api import APISettings

    try:
        urlsplit(APISettings().url or "")
    except ValueError as error:
        return SettingError(**origin_of("PREFECT_API_URL")._asdict(), detail=str(error))
    return None


def _models(model: Model) -> Iterator[Model]:
    """Yield the models of Prefect's settings, the inner ones first."""
    from prefect.settings.base import PrefectBaseSettings

    for field in model.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, PrefectBaseSettings):
            yield from _models(kind)
    yield model


def _names(model: Model, field: str) -> list[str]:
    """Return the variables that set a field, in Prefect's order of precedence."""
    alias: Any = model.model_fields[field].validation_alias
    if alias is None:
        return [f"{model.model_config.get('env_prefix')}{field}".upper()]
    return [choice.upper() for choice in alias.choices if isinstance(choice, str)]


def _origin(model: Model, field: str) -> Origin | None:
    """Return where a field is set, in Prefect's order of precedence; None if it has its default."""
    from prefect.settings import sources

    names = _names(model, field)
    none: Any = None  # the model returns the sources that it is given, among its own
    found: tuple[Any, ...] = model.settings_customise_sources(model, none, none, none, none)
    for source in found:
        if source is None or not _sets(source, {field.upper(), *names}):
            continue
        if isinstance(
            source,
            (sources.PrefectTomlConfigSettingsSource, sources.PyprojectTomlConfigSettingsSource),
        ):
            path = Path(str(source.toml_file_path)).absolute()
            table = ".".join(source.toml_table_header)
            where = f"[{table}] in {path}" if table else str(path)
            return Origin(names[0], str(path), f"remove `{field}` from {where}")
        if isinstance(source, sources.ProfileSettingsTomlLoader):
            name = _written(names, source.profile_settings)
            return Origin(name, str(source.profiles_path), f"run `prefect config unset {name}`")
        name = _written(names, source.env_vars)
        if isinstance(source, sources.FilteredDotEnvSettingsSource):
            path = Path(".env").absolute()
            return Origin(name, str(path), f"remove {name} from {path}")
        return Origin(name, "the environment", f"run `unset {name}`")
    return None


def _sets(source: PydanticBaseSettingsSource, names: set[str]) -> bool:
    from pydantic_settings.exceptions import SettingsError as UnreadableValueError

    try:
        return any(key.upper() in names for key in source())
    except UnreadableValueError as error:  # the value of one of its fields cannot be read
        return any(f'field "{name.lower()}"' in str(error) for name in names)


def _written(names: list[str], settings: Mapping[str, Any]) -> str:
    written = {name.upper() for name in settings}
    return next((name for name in names if name in written), names[0])


def _in_one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    # The text of these errors is only a name.
    return text if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {text}"
