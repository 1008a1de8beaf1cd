"""Where the rows of an export come from: metadata for programs, and notes for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cfpb_etl import __version__
from cfpb_etl.plain_text import listed
from cfpb_etl.read.provenance import LICENSE
from cfpb_etl.read.selection import Selection
from cfpb_etl.read.tables import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cfpb_etl.read.provenance import Provenance
    from cfpb_etl.read.tables import Column

VERSION_KEY = "cfpb_etl_version"  # of the metadata; other programs do not write it
_SOURCE = (
    "Consumer Financial Protection Bureau (CFPB), Consumer Complaint Database,"
    " https://www.consumerfinance.gov/data-research/consumer-complaints/"
)
_MADE_UP = "cfpb-etl; these complaints are made up"


def metadata_of(provenance: Provenance, selection: Selection) -> dict[str, str]:
    """Return where rows come from and what was selected, by the names that each target uses."""
    return {
        "source": _MADE_UP if provenance.is_sample else _SOURCE,
        "license": LICENSE,
        "as_of": provenance.as_of or "",
        "newest_load": str(provenance.load_id or ""),
        "made_up": "true" if provenance.is_sample else "false",
        "filters": json.dumps(selection.query.to_dict(), ensure_ascii=False),
        "narratives": "true" if selection.narratives else "false",
        VERSION_KEY: __version__,
    }


def described(columns: Iterable[Column]) -> dict[str, str]:
    """Return what each column contains, by its name, in a target where days are no texts."""
    return {each.name: each.description.removesuffix(", YYYY-MM-DD") for each in columns}


def has_columns_of_export(names: Iterable[str]) -> bool:
    """Say whether these are the columns of an exported table, in their order."""
    return [*names] in [
        [each.name for each in Selection(narratives=narratives).columns_of(table)]
        for table in NAMES
        for narratives in (True, False)
    ]


def notes_of(
    provenance: Provenance, selection: Selection, rows: dict[str, int], additions: Iterable[str]
) -> tuple[str, ...]:
    """Return what the reader of an export must know.

    Args:
        provenance: Where the rows come from.
        selection: What is exported.
        rows: How many rows each exported table has.
        additions: What `find_additions` has found in the database.
    """
    return (*_notes(provenance, selection, rows), *_other_columns(selection, additions))


def _notes(provenance: Provenance, selection: Selection, rows: dict[str, int]) -> Iterator[str]:
    if provenance.is_sample:
        yield "The complaints are made up."
    elif provenance.sources and not provenance.has_everything:
        yield (
            "The database has only a selection of CFPB's complaints: CFPB's daily file was not"
            " loaded."
        )
    load_id, outcome = provenance.load_id, provenance.outcome
    if load_id is None:
        yield "Nothing was loaded into the database yet."
    elif outcome != "complete":
        yield f"Load {load_id} is not complete ({outcome}). What it has stored is exported."
    if load_id is not None and rows.get("complaint") == 0:
        yield (
            "No complaint matches the filters."
            if provenance.has_complaints
            else "The database has no complaints."
        )
    if "load" in selection.tables and selection.query:
        yield "The table load has all loads, because filters select complaints."


def _other_columns(selection: Selection, additions: Iterable[str]) -> Iterator[str]:
    prefixes = tuple(f"column {table}." for table in selection.tables)
    if added := [each for each in additions if each.startswith(prefixes)]:
        names = listed([each.removeprefix("column ") for each in added])
        yield f"Columns that cfpb-etl did not create are not exported: {names}."
