"""The server of the sample: made-up complaints, offline."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.fetch.search_api import SearchApi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.fetch.sources import AnySource

_COMPLAINTS = 25_000


@cache
def sample_emulator() -> Emulator:
    """Return the server of the made-up complaints, which are the same in each run."""
    return Emulator(generate_complaints(_COMPLAINTS, era="2024"))


@contextmanager
def served(source: AnySource) -> Iterator[AnySource]:
    """Yield the source after its server has started: the sample's emulator is on this computer."""
    if not isinstance(source, SearchApi) or source.kind != "sample":
        yield source
        return
    with serve(sample_emulator()) as url:
        yield replace(source, url=url)
