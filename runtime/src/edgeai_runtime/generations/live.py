"""What serves now under a name, as a conversion is timed beside it."""

from __future__ import annotations

from typing import Optional

from edgeai_runtime.convert.search import Live
from edgeai_runtime.errors import EdgeAIError
from edgeai_runtime.generations.compose import placed_models
from edgeai_runtime.generations.manifest import load_manifest
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.store import blob_path


def live(paths: Paths, name: str) -> Optional[Live]:
    """The model of the current generation; None where there is none, or it is damaged, which is for others to
    mend."""
    try:
        current = read_state(paths).current
        placed = placed_models(paths, load_manifest(paths, current)).get(name) if current else None
    except EdgeAIError:
        return None
    if placed is None or not blob_path(paths, placed.entry.artifact).is_file():
        return None
    entry = placed.entry
    return Live(placed.release, entry.artifact, entry.engine, entry.recipe, entry.threads or 1)
