"""The sources that a load can have."""

from __future__ import annotations

from typing import TypeAlias

from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.search_api import SearchApi

AnySource: TypeAlias = SearchApi | BulkFile | Archive
