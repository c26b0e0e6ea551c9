"""A small file system of a test's own: it can be full to the KiB, and read-only."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

CLONE_NEWNS = 0x00020000  # of unshare(2)
SIZE = 32 << 20


def enter_private_namespace() -> str:
    """What this process mounts from now on nobody else sees, and goes with it; why not, where that fails."""
    if os.geteuid() != 0:
        return "a small file system is mounted by root alone"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return f"no mount namespace of its own here ({os.strerror(ctypes.get_errno())})"
    _do("mount", "--make-rprivate", "/")
    return ""


class SmallDisk:
    """A tmpfs at `place`. What is below `place`/run lies on another one, as on every device."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / ".filler"
        _do("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "small-disk", str(place))
        (place / "run").mkdir()
        _do("mount", "-t", "tmpfs", "run", str(place / "run"))

    def leave(self, kib: int) -> None:
        """Fill it until so much is free."""
        self.make_room()
        with open(self._filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.place).free - kib * 1024)

    def make_room(self) -> None:
        if self._filler.exists():
            self._filler.unlink()

    def used_kib(self) -> int:
        return shutil.disk_usage(self.place).used // 1024

    def remount(self, mode: str) -> None:
        """`mode` is "ro" or "rw"."""
        _do("mount", "-o", f"remount,{mode}", str(self.place))

    def unmount(self) -> None:
        _do("umount", "--lazy", "--recursive", str(self.place))


def _do(*command: str) -> None:
    subprocess.run(command, check=True)
