"""Every answer but 200, as one exception that carries it (CCDB_API.md sections 1, 6 and 7)."""

from collections.abc import Mapping


class RefusedError(Exception):
    """Raised when a request gets another answer than a page of complaints."""

    def __init__(
        self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def backend_trouble() -> RefusedError:
    """Return the 424 that stands for any trouble of the real server with its OpenSearch."""
    return RefusedError(424, {"error": "There was an error calling OpenSearch"})


def unexpected_trouble() -> RefusedError:
    """Return the 500 of every other failure, an empty index among them."""
    return RefusedError(500, {"error": "There was a problem retrieving your request"})
