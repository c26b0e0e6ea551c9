"""What must survive a power cut: atomic files, the device's lock, the journal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Any, Iterator, Optional

from edgeai_keeper import journal
from edgeai_keeper.state import fsync_directory

from edgeai_runtime.actor import actor
from edgeai_runtime.errors import InputError, StorageError
from edgeai_runtime.paths import Paths

__all__ = [
    "append_journal",
    "cannot_write",
    "device_lock",
    "fsync_directory",
    "of_the_disk",
    "write_atomic",
    "writing",
]

LOCK_WAIT_S = 30.0
# What is never a mistake of the program, whoever meets it, and what to do.
OF_THE_DISK = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make it writable again (the kernel's log may say why it is not)",
    errno.EIO: "look at the kernel's log and replace the disk",
}


def cannot_write(place: Path, error: OSError) -> StorageError:
    """What a person is told where `place`, or something in it, cannot be written."""
    what_to_do = OF_THE_DISK.get(error.errno or 0, "make room or correct the permissions")
    free = ""
    if error.errno == errno.ENOSPC:
        there = next(path for path in (place, *place.absolute().parents) if path.is_dir())
        free = f", {shutil.disk_usage(there).free / 1e6:.2f} MB are free"
    return StorageError(
        f"{place}: cannot be written ({error.strerror}{free}); {what_to_do}, then run the command again."
    )


def of_the_disk(error: BaseException) -> Optional[OSError]:
    """What the disk did, where that is behind an error or is the error itself."""
    behind: Optional[BaseException] = error
    while behind is not None and not (isinstance(behind, OSError) and behind.errno in OF_THE_DISK):
        behind = behind.__cause__ or behind.__context__
    return behind


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """For what writes in `place`: where that cannot be done, StorageError is raised."""
    try:
        yield
    except OSError as error:
        raise cannot_write(place, error) from None


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write beside, fsync, rename, fsync the directory: a reader finds the old or the new file.

    What a power cut left beside is overwritten by the next one who writes the file. Raises StorageError.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise cannot_write(path, error) from None


@contextlib.contextmanager
def device_lock(paths: Paths) -> Iterator[None]:
    """Hold the device's one lock: push, pull and stick never change it at the same time.

    Raises InputError naming the holder when it is not free within 30 s, StorageError.
    """
    with writing(paths.lock):
        paths.lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(paths.lock, "a+b", buffering=0)  # noqa: SIM115 (closed below)
    with file:
        give_up = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    file.seek(0)
                    holder = file.read().decode().strip() or "unknown"
                    raise InputError(
                        f"{paths.root}: process {holder} is changing this device and did not finish "
                        f"within {LOCK_WAIT_S:.0f} s; wait for it, then run the command again."
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        with contextlib.suppress(OSError):  # a full disk: what makes room is done under this lock too
            file.write(str(os.getpid()).encode())
        yield


def append_journal(paths: Paths, event: str, **fields: Any) -> None:
    """Append one line to the device's journal, with who asked, and make it durable. Raises StorageError."""
    with writing(paths.journal):
        paths.journal.parent.mkdir(parents=True, exist_ok=True)
        journal.append_journal(paths.journal, event, actor(), fields)
