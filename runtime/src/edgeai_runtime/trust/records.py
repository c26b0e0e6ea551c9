"""What was fetched, by the records that fetching leaves; no TUF client is loaded to read them."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple

from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release


def fetched_releases(paths: Paths) -> List[Tuple[Path, Release]]:
    """All releases that were fetched, each with its record. Raises InputError for one that is damaged."""
    records = sorted((paths.trust / "releases").glob("*/*.json"))
    return [(record, Release.from_json(record.read_bytes(), str(record))) for record in records]
