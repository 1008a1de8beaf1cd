"""Finds out whether an answer arrived as a whole (docs/facts.md, "Answers over HTTP")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cfpb_etl.fetch.errors import DamagedDownloadError, NotACsvError
from cfpb_etl.fetch.http.errors import FILE_SERVER, CutBodyError
from cfpb_etl.fetch.unpack.containers import container_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests

    from cfpb_etl.fetch.http.local_file import LocalFile, Origin

_HTML = re.compile("<html", re.IGNORECASE)
_END_OF_HTML = re.compile(r"</html\s*>", re.IGNORECASE)
_LINE_ENDS = (b"\n", b"\r", b"\0")  # the last byte of a CSV; in UTF-16 it can be a zero


def shows_its_end(response: requests.Response) -> bool:
    """Say whether HTTP itself shows that a body is complete, by its length or its last chunk.

    Otherwise a connection that is cut looks like the end. urllib3 does not notice if a compressed
    body ends too early.
    """
    raw = response.raw
    return not is_encoded(response) and (raw.chunked or raw.length_remaining is not None)


def is_encoded(response: requests.Response) -> bool:
    """Say whether a body is compressed for the transfer."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() != "identity"


def is_page_cut(text: str, response: requests.Response) -> bool:
    """Say whether a web page is cut off. CFPB's pages have `<html>` and `</html>`."""
    needs_end = not shows_its_end(response) or _HTML.search(text)
    return bool(needs_end and not _END_OF_HTML.search(text))


def finish_received(
    file: LocalFile, origin: Origin, verify: Callable[[Path], None], response: requests.Response
) -> bool:
    """Turn the part of a download into the file, unless something shows that the answer was cut.

    If HTTP does not show the end of the body, the end of the container does. A CSV without a
    container must at least end with a line.

    Returns:
        Whether it is certain that the whole file arrived.

    Raises:
        CutBodyError: If the file was cut off. The part is removed.
        FileError: As `verify` raises it. The part is removed.
    """
    start, end = file.part_ends()
    shows_end = shows_its_end(response)
    is_plain = container_of(start) is None
    if start and is_plain and not shows_end and end not in _LINE_ENDS:
        file.discard()
        raise CutBodyError(origin.url, detail="it ends within a line", server=FILE_SERVER)
    try:
        file.finish(origin, verify)
    except DamagedDownloadError as error:
        if shows_end and not error.is_cut:
            raise
        raise CutBodyError(origin.url, detail=error.detail, server=FILE_SERVER) from error
    except NotACsvError as error:
        if start:
            raise
        raise CutBodyError(origin.url, detail=error.detail, server=FILE_SERVER) from error
    return shows_end or not is_plain
