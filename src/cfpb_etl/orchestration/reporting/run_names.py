"""The names and tags of flow runs and task runs, by which people find them in Prefect's UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unicodedata import combining, normalize

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.fetch.complaint_file import FilePart
from cfpb_etl.parameters.load_parameters import NEWEST, LoadParameters
from cfpb_etl.plain_text import plain, shortened, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cfpb_etl.model.part import Part

_MAX_NAME = 100  # characters; the lists of the UI show about as many in a line
_MAX_VALUE = 60  # characters of one value
_MAX_VALUES = 3  # values of one parameter
_SPELLED = {"…": "..", "•": " - ", "’": "'", "\u2013": "-"}  # CFPB and this program write these


def name_of_flow_run() -> str:
    """Return the name of the current flow run, such as `api, CA, Mortgage, since 2026-10-01`.

    The flow refuses wrong parameters later. A run with these is named by the first one, such as
    `wrong file`.
    """
    try:
        parameters = LoadParameters(**flow_run.parameters)
    except WrongParameterError as error:
        return f"wrong {error.parameter}"
    except TypeError:  # Prefect's API accepts unknown names
        return "unknown parameter"
    return in_words(vars(parameters))


def in_words(parameters: Mapping[str, Any]) -> str:
    """Return what a load asks for, as one short line without secrets.

    Args:
        parameters: The parameters of the flow. Those that are missing have their defaults.
    """
    return as_name(", ".join(_words(parameters)))


def as_name(text: str) -> str:
    """Return a text as the name of a run: one short line without secrets."""
    return shortened(_spelled(without_secrets(text)), _MAX_NAME).replace("…", _SPELLED["…"])


def name_of_task_run(verb: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of a task run, such as `fetch 2020-01-01 to 2023-12-31, page 2`.

    Args:
        verb: What the task does with a part.
        parameters: The arguments of the task; the part, the raw part or the parsed part is one.
    """
    handled = parameters.get("raw") or parameters.get("parsed")
    part: Part = handled.info.part if handled else parameters["part"]
    return _spelled(plain(f"{verb} {part}"))


def tag_flow_run(source: str, database: Path) -> None:
    """Give the current flow run tags for its source and its database, besides its other tags.

    A tag given before the run, as by `prefect.tags`, would also be a tag of each task run. Prefect
    then asks its server before each task run whether the tag has a limit.
    """
    tags = {f"source:{source}", f"database:{plain(database.name)}"}
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags={*flow_run.tags, *tags})


def _words(parameters: Mapping[str, Any]) -> Iterator[str]:
    source = parameters.get("source") or "api"
    asked = [*_asked_for(parameters)]
    yield source
    yield from asked
    if not asked and source in ("api", "sample"):
        yield f"newest {NEWEST:,}"


def _asked_for(parameters: Mapping[str, Any]) -> Iterator[str]:
    if parameters.get("update"):
        yield "update"
    if parameters.get("restart"):
        yield "restart"
    if parameters.get("limit") is not None:
        yield f"newest {parameters['limit']:,}"
    for name in ("state", "product", "issue", "company"):
        yield from _values(parameters.get(name))
    if parameters.get("search"):
        yield f'"{_value(parameters["search"])}"'
    yield from _values(parameters.get("tag"))
    yield from (f"ZIP {code}" for code in _values(parameters.get("zip_code")))
    if parameters.get("timely"):
        yield f"timely {parameters['timely']}"
    yield from _values(parameters.get("submitted_via"))
    yield from _values(parameters.get("company_response"))
    yield from _values([FilePart(str(file)).name for file in _listed(parameters.get("file"))])
    since, until = parameters.get("since"), parameters.get("until")
    if since and until:
        yield f"{since} to {until}" if str(since) != str(until) else str(since)
    elif since or until:
        yield f"since {since}" if since else f"until {until}"


def _values(values: Any) -> Iterator[str]:  # noqa: ANN401 - a parameter can be one text or several
    values = _listed(values)
    yield from map(_value, values[:_MAX_VALUES])
    if len(values) > _MAX_VALUES:
        yield f"{len(values) - _MAX_VALUES} more"


def _listed(values: Any) -> list[Any]:  # noqa: ANN401 - a parameter can be one text or several
    return [values] if isinstance(values, str) else [*(values or ())]


def _value(value: object) -> str:
    return plain(str(value), _MAX_VALUE)


def _spelled(text: str) -> str:
    """Return a text in ASCII as far as this can be read.

    Prefect's picture of a run leaves out all other characters. Letters of other scripts stay,
    because the lists of the UI show them.
    """
    return "".join(_SPELLED.get(each) or _without_accent(each) for each in text)


def _without_accent(letter: str) -> str:
    parts = [each for each in normalize("NFKD", letter) if not combining(each)]
    return "".join(parts) if parts and all(map(str.isascii, parts)) else letter
