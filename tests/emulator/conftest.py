"""Fixtures that serve an emulator, and a reader for CFPB's files."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import requests

from cfpb_etl.emulator import Emulator, Era, RawComplaint, generate_complaints, serve


@dataclass
class Api:
    """A served emulator, with its complaints."""

    url: str
    emulator: Emulator
    complaints: list[RawComplaint]

    def get(self, query: str = "", /, **parameters: object) -> requests.Response:
        """Search, by a query string or by parameters."""
        values: Any = parameters
        return requests.get(f"{self.url}?{query}" if query else self.url, values, timeout=10)

    def search(self, query: str = "", /, **parameters: object) -> Any:
        """Return the `hits` of a successful search."""
        response = self.get(query, **parameters)
        assert response.status_code == 200, response.text
        return response.json()["hits"]

    def total(self, query: str = "", /, **parameters: object) -> int:
        """Return the number of complaints that match."""
        total: int = self.search(query, **parameters)["total"]["value"]
        return total

    def all_hits(self, **parameters: object) -> list[Any]:
        """Return the hits of all pages; the last hit of a page is the cursor of the next."""
        page = hits = self.search(**parameters)["hits"]
        while page:
            cursor = "_".join(map(str, page[-1]["sort"]))
            page = self.search(**parameters, search_after=cursor)["hits"]
            hits = hits + page
        return list(hits)


ServeApi = Callable[..., Api]


@pytest.fixture
def serve_api() -> Iterator[ServeApi]:
    """Return a function that serves complaints until the end of the test."""
    with ExitStack() as stack:

        def serve_api(complaints: Iterable[RawComplaint], **options: Any) -> Api:
            complaints = list(complaints)
            emulator = Emulator(complaints, **options)
            return Api(stack.enter_context(serve(emulator)), emulator, complaints)

        yield serve_api


def _serve_era(era: Era) -> Iterator[Api]:
    complaints = generate_complaints(4_000, era=era)
    emulator = Emulator(complaints)
    with serve(emulator) as url:
        yield Api(url, emulator, complaints)


@pytest.fixture(scope="session")
def deployed_api() -> Iterator[Api]:
    """Serve 4,000 complaints of the deployed release to tests that do not change them."""
    yield from _serve_era("deployed")


@pytest.fixture(scope="session")
def api_2024() -> Iterator[Api]:
    """Serve 4,000 complaints of 2024 to tests that do not change them."""
    yield from _serve_era("2024")


def read_rows(file: Path | bytes) -> list[dict[str, str]]:
    """Return the rows of the only member of a zip."""
    with ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file) as archive:
        (member,) = archive.namelist()
        text = archive.read(member).decode()
    assert "\r" not in text
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
