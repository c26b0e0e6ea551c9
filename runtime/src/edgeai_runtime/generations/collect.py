"""Make room: what no kept generation needs goes, and nothing that is in use or still to come.

Names go before what they name, so that a power cut in between leaves only files that the next time
finds. What was made after the confirmed generation (a release fetched, a conversion) is still to come.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import List, Set, Tuple

from edgeai_runtime.convert.conversion import load
from edgeai_runtime.durable import append_journal, fsync_directory
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.environments.venv import MARKER, is_complete
from edgeai_runtime.errors import InputError
from edgeai_runtime.generations.compose import discard, placed_models, remove_half_made, whole_generations
from edgeai_runtime.generations.manifest import Manifest, load_manifest, made_at
from edgeai_runtime.generations.probes import sampled_blobs
from edgeai_runtime.generations.state import read_state
from edgeai_runtime.generations.taken_back import remember_taken_back
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.records import fetched_releases
from edgeai_runtime.trust.store import stored_blobs

KEPT = 2  # generations confirmed before the present one


def collect(paths: Paths, kept: int = KEPT) -> List[str]:
    """Remove what neither the confirmed generation nor `kept` confirmed before it need.

    Returns what was done. Under the device's lock only; does nothing while a generation is on trial.
    Raises InputError for a generation that is damaged: then nobody knows what it needs.
    """
    state = read_state(paths)
    if state.confirmed is None or state.trial is not None:
        return []
    before = [number for number in state.confirmed_before() if number != state.confirmed]
    newest = list(dict.fromkeys(reversed(before)))[:kept]
    remove_half_made(paths)
    keep = {state.confirmed, *newest} | ({state.current} if state.current is not None else set())
    manifests = [load_manifest(paths, number) for number in whole_generations(paths)]
    staying = [manifest for manifest in manifests if manifest.generation in keep]
    leaving = [manifest for manifest in manifests if manifest.generation not in keep]
    since = made_at(paths.generation(state.confirmed))
    if leaving:
        remember_taken_back(paths, state)
    for manifest in leaving:
        discard(paths, manifest.generation)
    _drop_releases(paths, staying, since)
    entries = [entry for manifest in staying for entry in manifest.models.values()]
    artifacts = {sha256 for entry in entries for sha256 in entry.files.values()}
    artifacts |= _drop_conversions(paths, artifacts, since)
    environments = _drop_environments(paths, staying, leaving)
    files, size = _drop_blobs(paths, artifacts | _named(paths, staying), since)
    if not (leaving or environments or files):
        return []
    removed = {"generations": len(leaving), "environments": environments, "files": files}
    gone = [manifest.generation for manifest in leaving]
    append_journal(paths, "collected", **{**removed, "generations": gone}, bytes=size)
    told = ", ".join(f"{count} {what}" for what, count in removed.items() if count)
    return [f"made room of {size / 1e6:.1f} MB: {told}"]


def _drop_releases(paths: Paths, staying: List[Manifest], since: float) -> None:
    """Forget what was fetched before and is in no generation that stays."""
    in_use = {(name, entry.version) for manifest in staying for name, entry in manifest.models.items()}
    for record, release in fetched_releases(paths):
        if (release.name, release.version) not in in_use and record.stat().st_mtime < since:
            record.unlink()


def _drop_conversions(paths: Paths, in_use: Set[str], since: float) -> Set[str]:
    """Forget conversions whose result no generation has; returns the results of those still to come."""
    to_come = set()
    for record in paths.conversions.glob("*.json"):
        conversion = load(paths, record.stem)
        if conversion is not None and conversion.artifact in in_use:
            continue
        if record.stat().st_mtime < since:
            record.unlink()
        elif conversion is not None:
            to_come |= {conversion.artifact, conversion.instead}
    return to_come


def _drop_environments(paths: Paths, staying: List[Manifest], leaving: List[Manifest]) -> int:
    """Remove those that only generations had which are gone, and half-built ones; their marker first."""
    in_use = {manifest.environment for manifest in staying}
    gone = {manifest.environment for manifest in leaving} - in_use
    count = 0
    for environment in paths.envs.iterdir() if paths.envs.is_dir() else ():
        if environment.name in in_use:  # also one that lost its marker
            continue
        if is_complete(environment):
            if environment.name not in gone or _brings_commands(paths, environment):
                continue
            (environment / MARKER).unlink()
            fsync_directory(environment)
            count += 1
        shutil.rmtree(environment)
    return count


def _brings_commands(paths: Paths, environment: Path) -> bool:
    """Whether the device's own `edgeai` comes from it."""
    command = paths.bin / "edgeai"
    return command.is_file() and environment.name in command.read_text(errors="replace")


def _named(paths: Paths, staying: List[Manifest]) -> Set[str]:
    """The blobs that generations, fetched releases and environments name."""
    named = {blob for manifest in staying for blob in sampled_blobs(paths, manifest)}
    releases = [placed.release for manifest in staying for placed in placed_models(paths, manifest).values()]
    releases += [release for _record, release in fetched_releases(paths)]
    named |= {blob.sha256 for release in releases for blob in release.blobs}
    for path in paths.envs.glob("*/lock.json"):
        with contextlib.suppress(InputError):  # damaged: its wheels come again when it is mended
            lock = Lock.from_json(path.read_bytes(), str(path))
            named |= {wheel.sha256 for wheel in (lock.installer, *lock.wheels)}
    return named


def _drop_blobs(paths: Paths, named: Set[str], since: float) -> Tuple[int, int]:
    """Remove the blobs that nothing names, with their broken-off downloads; how many, and their bytes."""
    count = size = 0
    for blob in stored_blobs(paths):
        about = blob.lstat()
        if blob.name not in named and about.st_mtime < since:
            blob.unlink()
            count, size = count + 1, size + about.st_size
    return count, size
