"""The type of all sources that a load can use."""

from __future__ import annotations

from typing import TypeAlias

from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.search_api import SearchApi

AnySource: TypeAlias = SearchApi | BulkFile | Archive
