"""Build a device's environment: the wheels of a lock into the store, and a venv from them."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List

from edgeai_runtime.durable import append_journal, device_lock, writing
from edgeai_runtime.environments.files import damaged_files
from edgeai_runtime.environments.interpreter import check_fits
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.environments.venv import build_venv, is_complete, mend_venv
from edgeai_runtime.paths import Paths
from edgeai_runtime.release import Blob
from edgeai_runtime.trust import store
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.space import left_to_fetch, need_space

LOCK_LIMIT = 1 << 20  # bytes
# Times what they are as files: wheels of onnxruntime's kind, with the bytecode of what is used.
UNPACKED = 5
WHEELS = "wheels"  # in the store, while an environment is built


@dataclass(frozen=True)
class BuildResult:
    """`environment` is the lock's digest, `path` the venv, `actions` what was (or would be) done."""

    environment: str
    path: str
    changed: bool
    actions: List[str]


def build_from_depot(
    paths: Paths,
    lock_sha256: str,
    depots: Depots,
    python: str,
    check: bool = False,
    progress: Callable[[str], None] = lambda sentence: None,
) -> BuildResult:
    """Fetch the lock and its wheels by digest and build the environment with `python`.

    `lock_sha256` is what the caller verified (over SSH, from the controller). The same again mends what was
    damaged since; where nothing was it needs no depot.
    Raises TransferError, TrustError, BuildError, StorageError.
    """
    environment = paths.environment(lock_sha256)
    damaged = damaged_files(environment) if is_complete(environment) else []
    if check:
        actions = [] if is_complete(environment) else [f"would build the environment {lock_sha256[:12]}"]
        if damaged:
            actions = [f"would mend {_told(damaged)} of the environment {lock_sha256[:12]}"]
        return BuildResult(lock_sha256, str(environment), bool(actions), actions)
    with device_lock(paths):
        actions = []
        shutil.rmtree(paths.store / WHEELS, ignore_errors=True)  # left by a power cut
        if not is_complete(environment) or damaged:
            lock = Lock.from_json(depots.read_blob(lock_sha256, LOCK_LIMIT), f"lock {lock_sha256[:12]}")
            check_fits(lock, python)
            _fetch_wheels(paths, depots, lock, progress)
            progress(f"installing {len(lock.wheels)} wheels")
            named = f"the environment {lock.name} {lock_sha256[:12]}"
            with _under_their_names(paths, lock) as wheels:
                if damaged:
                    mend_venv(environment, lock, wheels, python, damaged)
                    actions.append(f"mended {_told(damaged)} of {named}")
                else:
                    build_venv(environment, lock, wheels, python)
                    actions.append(f"built {named} from {len(lock.wheels)} wheels")
            append_journal(paths, "environment", environment=lock_sha256, lock=lock.name, mended=damaged)
        # Before the service first starts: its sandbox makes those read-only that it finds.
        for directory in (paths.conversions, paths.generations, paths.trust):
            directory.mkdir(parents=True, exist_ok=True)
    return BuildResult(lock_sha256, str(environment), bool(actions), actions)


def _told(damaged: List[str]) -> str:
    return damaged[0] if len(damaged) == 1 else f"{damaged[0]} and {len(damaged) - 1} more damaged files"


def _fetch_wheels(paths: Paths, depots: Depots, lock: Lock, progress: Callable[[str], None]) -> None:
    wheels = [Blob(wheel.sha256, wheel.size) for wheel in (lock.installer, *lock.wheels)]
    missing, what = store.not_intact(paths, wheels), f"the environment {lock.name}"
    to_install = UNPACKED * sum(wheel.size for wheel in lock.wheels)
    needs = {"to fetch": left_to_fetch(paths, missing), "to install it": to_install}
    need_space(paths.envs, what, needs)
    depots.fetch_blobs(paths, missing, what, progress)


@contextlib.contextmanager
def _under_their_names(paths: Paths, lock: Lock) -> Iterator[Path]:
    """A directory with the lock's wheels in the store: who installs wants them under their own names."""
    directory = paths.store / WHEELS
    try:
        with writing(directory):
            directory.mkdir(parents=True)
            for wheel in (lock.installer, *lock.wheels):
                (directory / wheel.filename).symlink_to(store.blob_path(paths, wheel.sha256).resolve())
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
