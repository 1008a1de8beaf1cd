"""Tests of the errors themselves, of all three rooms."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

from cfpb_etl import errors
from cfpb_etl.fetch import errors as file_errors
from cfpb_etl.fetch.http import errors as server_errors

CLASSES = [
    kind
    for room in (errors, file_errors, server_errors)
    for kind in vars(room).values()
    if inspect.isclass(kind) and issubclass(kind, errors.CfpbEtlError)
    if kind.__module__ == room.__name__
]
ARGUMENTS = {
    "url": "http://127.0.0.1/?size=1",
    "path": Path("complaints.db"),
    "api_url": "http://127.0.0.1/api",
    "retry_after": 7.0,
    "hit": 3,
    "expected": 5,
    "read": 4,
    "needed": 350_000_000,
    "free": 7,
    "rejected": 8,
    "rows": 9,
    "withdrawn": 10,
    "stored": 11,
}


def made(kind: type[errors.CfpbEtlError]) -> errors.CfpbEtlError:
    """Make an error of a class, with something for each argument that it must have."""
    if kind.__init__ is Exception.__init__:
        return kind("words")
    wanted = list(inspect.signature(kind).parameters.values())
    return kind(
        **{
            p.name: ARGUMENTS.get(p.name, p.name)
            for p in wanted
            if p.default is inspect.Parameter.empty
        }
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_a_trip_to_another_process(kind: type[errors.CfpbEtlError]) -> None:
    """Class, message and data are the same after pickling, as Dask and stored results need."""
    error = made(kind)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_says_when_it_is_raised(kind: type[errors.CfpbEtlError]) -> None:
    """Every class but the root says when it is raised."""
    assert kind is errors.CfpbEtlError or (kind.__doc__ or "").startswith("Raised ")


def test_the_message_leaves_the_parameters_to_the_attribute() -> None:
    """An address is shown without its parameters, which may be long; the attribute has them."""
    error = server_errors.NotFoundError(
        "http://127.0.0.1/api/?state=CA", status=404, body_start="gone"
    )

    assert str(error) == (
        "There is no search API at this address (404). Check --api-url."
        " Address: http://127.0.0.1/api/. The answer began: 'gone'."
    )
    assert error.url == "http://127.0.0.1/api/?state=CA"
