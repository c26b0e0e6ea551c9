"""What must survive a power cut: atomic files, the device's lock, the journal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Any, Iterator

from edgeai_keeper import journal
from edgeai_keeper.state import fsync_directory

from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths

__all__ = ["append_journal", "device_lock", "fsync_directory", "write_atomic"]

LOCK_WAIT_S = 30.0


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write beside, fsync, rename, fsync the directory: a reader finds the old or the new file.

    What a power cut left beside is overwritten by the next one who writes the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    try:
        with open(beside, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        raise
    fsync_directory(path.parent)


@contextlib.contextmanager
def device_lock(paths: Paths) -> Iterator[None]:
    """Hold the device's one lock: push, pull and stick never change it at the same time.

    Raises InputError naming the holder when it is not free within 30 s.
    """
    paths.lock.parent.mkdir(parents=True, exist_ok=True)
    with open(paths.lock, "a+", encoding="ascii") as file:
        give_up = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    file.seek(0)
                    holder = file.read().strip() or "unknown"
                    raise InputError(
                        f"{paths.root}: process {holder} is changing this device and did not finish "
                        f"within {LOCK_WAIT_S:.0f} s; wait for it, then run the command again."
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def append_journal(paths: Paths, event: str, actor: str, **fields: Any) -> None:
    """Append one line to the device's journal and make it durable."""
    paths.journal.parent.mkdir(parents=True, exist_ok=True)
    journal.append_journal(paths.journal, event, actor, fields)
