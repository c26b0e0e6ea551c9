"""What was fetched, by the records that fetching leaves; no TUF client is loaded to read them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import List, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release


def release_record(paths: Paths, name: str, version: str) -> Path:
    """The manifest of a fetched release; written last, so that its presence means all files are there."""
    return paths.trust / "releases" / name / f"{version}.json"


def release_records(paths: Paths) -> List[Path]:
    """All of them, also damaged ones."""
    return sorted((paths.trust / "releases").glob("*/*.json"))


def fetched_releases(paths: Paths) -> List[Tuple[Path, Release]]:
    """All releases that were fetched, each with its record; one whose record is damaged was not."""
    found = []
    for record in release_records(paths):
        with contextlib.suppress(InputError):
            found.append((record, Release.from_json(record.read_bytes(), str(record))))
    return found
