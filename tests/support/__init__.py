"""What several tests share: servers, faults and builders."""

import os
from pathlib import Path

# For a Python process of its own that imports this package.
PYTHONPATH = os.pathsep.join(
    filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
)
