"""Serve generated complaints with CFPB's rate limit, each answer as slowly as CFPB's.

Run `python slow_emulator.py COMPLAINTS`. It prints the address, and runs until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event

sys.path.insert(0, str(Path(__file__).parents[1]))

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from support.faults import Delayed

SECONDS_TO_ANSWER = 10  # 10,000 complaints took CFPB 11.6 s

if __name__ == "__main__":
    complaints = generate_complaints(int(sys.argv[1]))
    with serve(Delayed(Emulator(complaints, throttle=20), SECONDS_TO_ANSWER)) as url:
        print(f"{len(complaints):,} complaints at {url}", flush=True)
        Event().wait()
