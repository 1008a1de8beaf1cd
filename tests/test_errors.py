"""Every error of the package. The classes are found, not listed, so a new one is tested too."""

from __future__ import annotations

import inspect
import pickle
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cfpb_etl
from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.http.errors import FILE_SERVER, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A value for each type of a field, by its annotation.
VALUES: dict[str, Any] = {
    "bool": True,
    "int": 3,
    "float": 0.25,
    "str": "a text",
    "object": "a value",
    "int | None": 404,
    "float | None": 2.5,
    "Path": Path("complaints.db"),
    "Sequence[str]": ["first", "second"],
    "Mapping[Order, str]": {"month-first": "2020-03-04", "day-first": "2020-04-03"},
    "Server": FILE_SERVER,
}


def error_classes() -> list[type[CfpbEtlError]]:
    """Import every module of the package, and return all subclasses of the root."""
    for module in pkgutil.walk_packages(cfpb_etl.__path__, "cfpb_etl."):
        if not module.name.endswith("__main__"):
            import_module(module.name)

    def below(kind: type[CfpbEtlError]) -> Iterator[type[CfpbEtlError]]:
        for subclass in kind.__subclasses__():
            yield subclass
            yield from below(subclass)

    # Sorted, because all workers of xdist must find the same order.
    return sorted({*below(CfpbEtlError)}, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def fields_of(kind: type[CfpbEtlError]) -> dict[str, Any]:
    """Return a value for each annotated field of a class."""
    return {
        name: VALUES[annotation]
        for base in kind.__mro__
        for name, annotation in inspect.get_annotations(base).items()
        if not annotation.startswith("ClassVar")
    }


def raised(kind: type[CfpbEtlError]) -> CfpbEtlError:
    """Return an error of a class, raised with its fields by keyword."""
    arguments = fields_of(kind)
    if kind.problem is CfpbEtlError.problem:  # it has no template
        arguments["text"] = "What happened"
    with pytest.raises(kind) as caught:
        raise kind(**arguments)
    return caught.value


each_class = pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)


def test_all_errors_are_found() -> None:
    """There are errors of every folder that raises some."""
    folders = {kind.__module__.split(".")[1] for kind in error_classes()}

    assert folders == {"errors", "fetch", "orchestration", "parse", "publish", "read", "store"}


@each_class
def test_an_error_survives_pickling(kind: type[CfpbEtlError]) -> None:
    """Class, message and fields are the same after pickling, as Dask and stored results need."""
    error = raised(kind)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@each_class
def test_an_error_says_what_happened_and_what_to_do(kind: type[CfpbEtlError]) -> None:
    """The message is one line, starts with what happened, and contains the remedy."""
    error = raised(kind)
    remedy = kind.remedy.partition("{")[0]

    assert error.brief
    assert str(error).startswith(error.brief)
    assert (remedy in str(error), remedy in error.brief) == (True, not remedy)
    assert "\n" not in str(error)
    assert vars(error).items() >= fields_of(kind).items()


@each_class
def test_an_error_documents_when_it_is_raised(kind: type[CfpbEtlError]) -> None:
    """Its docstring starts with that."""
    assert (kind.__doc__ or "").startswith("Raised ")


def test_the_message_has_the_address_without_its_parameters() -> None:
    """The parameters may be long; only the attribute has them."""
    error = NotFoundError("http://127.0.0.1/api/?state=CA", status=404, body_start="gone")

    assert str(error) == (
        "There is no search API at this address (404). Check --api-url."
        " Address: http://127.0.0.1/api/. The answer began: 'gone'."
    )
    assert error.url == "http://127.0.0.1/api/?state=CA"
