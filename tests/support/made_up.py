"""Made-up complaints that several test modules share, so each worker makes them only once."""

from __future__ import annotations

from functools import cache

from cfpb_etl.emulator import generate_complaints

made_up = cache(generate_complaints)
"""Return what `generate_complaints` returns, the same list for the same arguments.

Nothing may change the list or its complaints.
"""
