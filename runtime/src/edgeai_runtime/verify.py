"""Read every file that this device serves from or may go back to, and compare it with its digest."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Tuple

from edgeai_runtime.environments.files import damaged_files
from edgeai_runtime.environments.venv import is_complete
from edgeai_runtime.errors import DamagedError, InputError
from edgeai_runtime.generations.compose import generation_files, whole_generations
from edgeai_runtime.generations.manifest import COPY, FILE, is_readable, load_manifest
from edgeai_runtime.generations.probes import PROBE_FILE, has_probes
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Release, file_sha256
from edgeai_runtime.trust.records import release_records
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
    damaged: Dict[Path, str] = {}  # by where it lies: links lead into the store
    counts = {}
    intact = _Reading()
    for what, found in (
        ("generations", _generations(paths, intact)),
        ("releases", _releases(paths, intact)),
        ("environments", _environments(paths)),
    ):
        counts[what] = 0
        for name, bad in found:
            counts[what] += 1
            progress(f"{name}: {f'{len(bad)} damaged files' if bad else 'intact'}")
            for path in bad:
                damaged.setdefault(path.resolve(), str(path))
    if damaged:
        names = list(damaged.values())
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise DamagedError(
            f"{paths.root}: damaged or missing are {', '.join(names[:SHOWN])}{more}; provision the device "
            "again for what is in envs, roll its releases out again for the rest.",
            damaged=names,
        )
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    return Verified(**counts, actions=(f"{told} are intact",))


class _Reading:
    """Compares files with their digests, each once, although several generations share it."""

    def __init__(self) -> None:
        self._found: Dict[Path, str] = {}

    def bad(self, files: Mapping[Path, str]) -> List[Path]:
        """Those that are missing or do not have their sha256."""
        return [path for path, sha256 in files.items() if self._sha256(path.resolve()) != sha256]

    def _sha256(self, path: Path) -> str:
        if path not in self._found:
            self._found[path] = file_sha256(path) if path.is_file() else ""
        return self._found[path]


def _generations(paths: Paths, reading: _Reading) -> Iterator[Tuple[str, List[Path]]]:
    for number in whole_generations(paths):
        directory = paths.generation(number)
        bad = [directory / file for file in (FILE, COPY) if not is_readable(directory / file)]
        with contextlib.suppress(DamagedError):
            manifest = load_manifest(paths, number)
            bad += reading.bad(generation_files(paths, manifest))
            if not has_probes(paths, manifest):
                bad.append(directory / PROBE_FILE)
        yield f"generation {number}", bad


def _releases(paths: Paths, reading: _Reading) -> Iterator[Tuple[str, List[Path]]]:
    for record in release_records(paths):
        try:
            release = Release.from_json(record.read_bytes(), str(record))
        except InputError:
            yield f"{record.parent.name} {record.stem}", [record]
            continue
        bad = reading.bad({blob_path(paths, blob.sha256): blob.sha256 for blob in release.blobs})
        yield f"{release.name} {release.version}", bad


def _environments(paths: Paths) -> Iterator[Tuple[str, List[Path]]]:
    for environment in sorted(paths.envs.glob("*")):
        if is_complete(environment):
            bad = [environment / name for name in damaged_files(environment)]
            yield f"environment {environment.name[:12]}", bad
