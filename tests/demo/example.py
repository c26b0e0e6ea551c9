"""What the demo uses of the example, whose directory is no package."""

from __future__ import annotations

import sys

from fleet import REPO

EXAMPLE = REPO / "examples" / "label_reader"
sys.path.insert(0, str(EXAMPLE))

from client import Client, table  # noqa: E402
from render import ORDINARY, label  # noqa: E402

__all__ = ["EXAMPLE", "ORDINARY", "Client", "label", "table"]
