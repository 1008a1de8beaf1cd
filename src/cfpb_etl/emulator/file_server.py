"""CFPB's file server, and the web page that links to the archive of narratives."""

from html import escape
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from cfpb_etl.emulator.data.files import DOCUMENTS_PATH

ARCHIVE_PATH = (
    "/foia-requests/foia-electronic-reading-room/"
    "cfpb-consumer-complaint-database-narratives-archive/"
)
"""The path of the archive's page. CFPB serves the page from one host and the zips from another."""

# This page is invented, because the real page was not seen (docs/facts.md, "Archive of
# narratives"). It is hard to parse: other links around the zips, entities, and tags within links.
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Consumer Complaint Database narratives archive | FOIA &amp; Privacy</title>
<link rel="stylesheet" href="/static/css/main.css">
</head>
<body>
<a class="skip-nav" href="#main">Skip to main content</a>
<nav>
<a href="/">Home</a>
<a href='/foia-requests/'>FOIA requests</a>
<a href="/foia-requests/foia-electronic-reading-room/">Electronic reading&nbsp;room</a>
<a href="/data-research/consumer-complaints/">Consumer Complaint Database</a>
</nav>
<main id="main">
<h1>Consumer Complaint Database &mdash; narratives archive</h1>
<p>The Bureau no longer publishes consumers&rsquo; narratives. What it had published is below.
Read <a href="{documents}ccdb_archive_read-me.pdf">how to use these files (PDF,
184&nbsp;KB)</a> first; older ones are <a href="mailto:foia@example.org">on request</a>.</p>
<ul class="m-list m-list__links">
{zips}</ul>
<p><a href="{documents}foia-log_2026.xlsx">FOIA log, 2026 (XLSX, 1.1&nbsp;MB)</a></p>
</main>
<footer><a href="/accessibility/">Accessibility</a> &bull; <a href="tel:+18554112372">Call</a>
</footer>
</body>
</html>
"""
_LINK = """\
<li><a class="a-link" href="{href}"><span class="a-link__text">{name} &ndash; \
ZIP&nbsp;({kilobytes:,.0f}&nbsp;KB)</span>
<svg viewBox="0 0 12 19"><path d="M11.1 14.2"></path></svg></a></li>
"""


def file_server(folder: Path | None) -> ASGIApp:
    """Return an application that serves the files in a folder. If `folder` is None, it answers 404.

    Starlette has the same features as CFPB's server: the headers ETag and Last-Modified, the status
    304 for an unchanged file, and byte ranges with conditions.
    """
    if folder is None:
        return Starlette()
    folder.mkdir(parents=True, exist_ok=True)
    documents = folder / DOCUMENTS_PATH.strip("/")
    return Starlette(
        routes=[
            Route(ARCHIVE_PATH, lambda _: HTMLResponse(_page(documents))),
            Mount("/", StaticFiles(directory=folder)),
        ]
    )


def _page(documents: Path) -> str:
    links = [
        _LINK.format(
            href=escape(DOCUMENTS_PATH + quote(path.name)),
            name=escape(path.stem.replace("_", " ")),
            kilobytes=path.stat().st_size / 1000,
        )
        for path in sorted(documents.glob("*.zip"))
    ]
    return _PAGE.format(documents=DOCUMENTS_PATH, zips="".join(links))
