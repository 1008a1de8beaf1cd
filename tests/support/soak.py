"""How often a random test is repeated: `make soak` sets CFPB_ETL_SOAK=1."""

import os

SOAKING = os.environ.get("CFPB_ETL_SOAK", "") not in ("", "0")


def soak(count: int) -> int:
    """Return this count, or ten times as many in a soak run."""
    return count * 10 if SOAKING else count
