"""A way to ask a served emulator, and two emulators, one of each era, that many tests ask."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from cfpb_etl.emulator import Emulator, Era, Source, made_complaints, serve


@dataclass
class Api:
    """A served emulator."""

    url: str
    emulator: Emulator
    complaints: list[Source]

    def get(self, query: str = "", /, **parameters: object) -> requests.Response:
        """Search, by a query string or by parameters."""
        values: Any = parameters
        return requests.get(f"{self.url}?{query}" if query else self.url, values, timeout=10)

    def found(self, query: str = "", /, **parameters: object) -> Any:
        """Return the `hits` of a search that must succeed."""
        response = self.get(query, **parameters)
        assert response.status_code == 200, response.text
        return response.json()["hits"]

    def total(self, query: str = "", /, **parameters: object) -> int:
        """Return how many complaints match."""
        total: int = self.found(query, **parameters)["total"]["value"]
        return total

    def walk(self, **parameters: object) -> list[Any]:
        """Return the hits of all pages, each asked for by the last hit of the one before."""
        page = hits = self.found(**parameters)["hits"]
        while page:
            cursor = "_".join(map(str, page[-1]["sort"]))
            page = self.found(**parameters, search_after=cursor)["hits"]
            hits = hits + page
        return list(hits)


Serve = Callable[..., Api]


@pytest.fixture
def served() -> Iterator[Serve]:
    """Return a function that serves complaints of the test's own until the test ends."""
    with ExitStack() as stack:

        def served(complaints: Iterable[Source], **options: Any) -> Api:
            complaints = list(complaints)
            emulator = Emulator(complaints, **options)
            return Api(stack.enter_context(serve(emulator)), emulator, complaints)

        yield served


def _standing(era: Era) -> Iterator[Api]:
    complaints = made_complaints(4_000, era=era)
    emulator = Emulator(complaints)
    with serve(emulator) as url:
        yield Api(url, emulator, complaints)


@pytest.fixture(scope="session")
def deployed() -> Iterator[Api]:
    """Serve 4,000 complaints of the deployed release, for tests that do not change them."""
    yield from _standing("deployed")


@pytest.fixture(scope="session")
def of_2024() -> Iterator[Api]:
    """Serve 4,000 complaints of 2024, for tests that do not change them."""
    yield from _standing("2024")
