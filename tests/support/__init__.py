"""Servers, faults and builders that several tests share."""

import os
from pathlib import Path

# For a second Python process that imports this package.
PYTHONPATH = os.pathsep.join(
    filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
)
