"""Which releases and environments this device took back, and why; remembered when they are gone."""

from __future__ import annotations

import contextlib
import json
from typing import Dict, Optional, Set

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.generations.compose import whole_generations
from edgeai_runtime.generations.manifest import Manifest, load_manifest
from edgeai_runtime.generations.state import State
from edgeai_runtime.paths import Paths

SCHEMA = 1
KEPT = 50  # the newest


def taken_back(paths: Paths, state: State) -> Dict[str, str]:
    """By the digest of a release or an environment: in which generation it was taken back, and why.

    Only what the generation before did not have is to blame; what was confirmed later is not.
    Raises InputError for a generation that is damaged.
    """
    found = _remembered(paths)
    last = {entry["generation"]: entry for entry in state.history}
    manifests = {number: load_manifest(paths, number) for number in sorted(whole_generations(paths))}
    for number, manifest in manifests.items():
        if number not in last:
            continue
        before = manifests.get(manifest.parent) if manifest.parent is not None else None
        for digest in _content(manifest) - _content(before):
            found.pop(digest, None)  # the newest verdict last
            if last[number]["outcome"] != "confirmed":
                found[digest] = f"it was taken back here in generation {number}: {last[number]['reason']}"
    return found


def remember_taken_back(paths: Paths, state: State) -> None:
    """Before generations are discarded. Raises InputError, OSError."""
    before, now = _remembered(paths), taken_back(paths, state)
    if now != before:
        newest = dict(list(now.items())[-KEPT:])
        text = json.dumps({"schema": SCHEMA, "taken_back": newest}, indent=1, ensure_ascii=False)
        write_atomic(paths.taken_back, text.encode())


def _content(manifest: Optional[Manifest]) -> Set[str]:
    if manifest is None:
        return set()
    return {manifest.environment, *(entry.release for entry in manifest.models.values())}


def _remembered(paths: Paths) -> Dict[str, str]:
    """A device that cannot read it has only forgotten: what it named goes through all gates once more."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        table = json.loads(paths.taken_back.read_bytes())
        if table["schema"] == SCHEMA:
            return {str(digest): str(reason) for digest, reason in table["taken_back"].items()}
    return {}
