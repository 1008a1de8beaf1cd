"""The number of repetitions of a random test. `make soak` sets CFPB_ETL_SOAK=1."""

import os

SOAKING = os.environ.get("CFPB_ETL_SOAK", "") not in ("", "0")


def soak(count: int, in_a_soak_run: int | None = None) -> int:
    """Return this count; in a soak run, return ten times this count, or the other one."""
    return (in_a_soak_run or count * 10) if SOAKING else count
