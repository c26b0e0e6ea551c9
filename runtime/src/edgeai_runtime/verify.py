"""Read every file that this device serves from or may go back to, and compare it with its digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Tuple

from edgeai_runtime.environments.files import damaged_files
from edgeai_runtime.environments.venv import is_complete
from edgeai_runtime.errors import DamagedError, InputError
from edgeai_runtime.generations.compose import generation_files, whole_generations
from edgeai_runtime.generations.manifest import COPY, FILE, is_readable, load_manifest
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import file_sha256
from edgeai_runtime.trust.records import fetched_releases
from edgeai_runtime.trust.store import blob_path

SHOWN = 3  # in the sentence; all are in its details


@dataclass(frozen=True)
class Verified:
    """How many generations, releases and environments are intact."""

    generations: int
    releases: int
    environments: int
    actions: Tuple[str, ...]


def verify(paths: Paths, progress: Callable[[str], None]) -> Verified:
    """Nothing is changed. Raises DamagedError, whose details name every damaged file."""
    damaged: List[str] = []
    seen: Dict[Path, bool] = {}
    counts = {}
    for what, found in (
        ("generations", _generations(paths, seen)),
        ("releases", _releases(paths, seen)),
        ("environments", _environments(paths)),
    ):
        counts[what] = 0
        for name, bad in found:
            counts[what] += 1
            progress(f"{name}: {f'{len(bad)} damaged files' if bad else 'intact'}")
            damaged += [path for path in bad if path not in damaged]
    if damaged:
        more = f" and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
        raise DamagedError(
            f"{paths.root}: damaged or missing are {', '.join(damaged[:SHOWN])}{more}; provision the device "
            "again for what is in envs, roll its releases out again for the rest.",
            damaged=damaged,
        )
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    return Verified(**counts, actions=(f"{told} are intact",))


def _generations(paths: Paths, seen: Dict[Path, bool]) -> Iterator[Tuple[str, List[str]]]:
    for number in whole_generations(paths):
        directory = paths.generation(number)
        bad = [str(directory / file) for file in (FILE, COPY) if not is_readable(directory / file)]
        try:
            expected = generation_files(paths, load_manifest(paths, number))
        except InputError:
            expected = {}
        bad += [str(path) for path, sha256 in expected.items() if not _intact(path, sha256, seen)]
        yield f"generation {number}", bad


def _releases(paths: Paths, seen: Dict[Path, bool]) -> Iterator[Tuple[str, List[str]]]:
    for _record, release in fetched_releases(paths):
        blobs = {blob_path(paths, blob.sha256): blob.sha256 for blob in release.blobs}
        bad = [str(path) for path, sha256 in blobs.items() if not _intact(path, sha256, seen)]
        yield f"{release.name} {release.version}", bad


def _environments(paths: Paths) -> Iterator[Tuple[str, List[str]]]:
    for environment in sorted(paths.envs.glob("*")):
        if is_complete(environment):
            yield (
                f"environment {environment.name[:12]}",
                [str(environment / name) for name in damaged_files(environment)],
            )


def _intact(path: Path, sha256: str, seen: Dict[Path, bool]) -> bool:
    """Whether a file, which several may share, has its digest; each is read once."""
    there = path.resolve()
    if there not in seen:
        seen[there] = there.is_file() and file_sha256(there) == sha256
    return seen[there]
