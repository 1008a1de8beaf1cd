"""The error answers of the search API (docs/facts.md, "Errors")."""

from collections.abc import Mapping


class HttpError(Exception):
    """Raised to answer a request with a status other than 200; contains the whole answer."""

    def __init__(
        self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def search_backend_error() -> HttpError:
    """Return the answer with status 424, which the real server sends if OpenSearch fails."""
    return HttpError(424, {"error": "There was an error calling OpenSearch"})


def internal_error() -> HttpError:
    """Return the answer with status 500, which the real server sends for any other failure.

    An empty index is such a failure.
    """
    return HttpError(500, {"error": "There was a problem retrieving your request"})
