"""What the keeper reads of a generation's directory, and which one it may go back to."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import List, Tuple

from edgeai_keeper.basics import Damaged, Json
from edgeai_keeper.journal import digest

FILES = ("manifest.json", "manifest.copy.json")  # the same twice


def read_manifest(directory: Path) -> Tuple[Json, str]:
    """The manifest, out of its copy where it is damaged, and what is wrong with it. Raises Damaged."""
    damage = ""
    for name in FILES:
        try:
            manifest: Json = json.loads((directory / name).read_bytes())
            if not isinstance(manifest["environment"], str):
                raise TypeError(f"environment is {manifest['environment']!r}")
            return manifest, damage
        except (OSError, ValueError, KeyError, TypeError) as error:
            damage = damage or f"{directory / name} cannot be read ({error!r})"
    raise Damaged(damage)


def digest_of(directory: Path) -> str:
    """The manifest's sha256, empty where it is damaged: what a generation is, whatever its number."""
    for name in FILES:
        with contextlib.suppress(OSError, ValueError):
            data = (directory / name).read_bytes()
            json.loads(data)
            return digest(data)
    return ""


def sound_before(generations: Path, current: int, history: List[Json]) -> int:
    """The one confirmed last of those that serve the same models and were not taken back; 0 for none."""
    last = {entry["generation"]: entry["outcome"] for entry in history}
    try:
        models = set(read_manifest(generations / str(current))[0].get("models", ()))
    except Damaged:
        return 0
    for entry in reversed(history):
        generation = int(entry["generation"])
        if last[generation] != "confirmed" or generation == current:
            continue
        try:
            if models <= set(read_manifest(generations / str(generation))[0].get("models", ())):
                return generation
        except Damaged:
            continue
    return 0
