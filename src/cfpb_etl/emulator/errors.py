"""The error answers of the search API (docs/facts.md, "Errors")."""

from collections.abc import Mapping


class HttpError(Exception):
    """Raised to answer a request with another status than 200; carries the whole answer."""

    def __init__(
        self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def search_backend_error() -> HttpError:
    """Return the 424 with which the real server reports any failure of its OpenSearch."""
    return HttpError(424, {"error": "There was an error calling OpenSearch"})


def internal_error() -> HttpError:
    """Return the 500 with which the real server reports all other failures, such as no data."""
    return HttpError(500, {"error": "There was a problem retrieving your request"})
