"""Addresses in Secret blocks of Prefect."""

from __future__ import annotations

from typing import Any

from prefect.blocks.system import Secret

from cfpb_etl.fetch.errors import NoAddressError


def read_secret_block(name: str) -> str:
    """Return the value of a Secret block.

    Raises:
        NoAddressError: If the block does not exist.
    """
    try:
        block: Any = Secret.load(name)  # typed as a coroutine, which it is only in an event loop
        return str(block.get())
    except ValueError as error:
        raise NoAddressError(name=f"secret:{name}", fault="is not a Secret block") from error
