"""What a power cut leaves: all that was written, or only what was made durable.

`Killed`: the processes are gone, the system had time to write. `MetadataOnly`: names and sizes are
on the disk, content that was not fsynced is not. `SyncedOnly`: nothing is there but what was fsynced.
The latter two need root: the device lies on an ext4 image whose backing file is copied at the cut,
mounted `noauto_da_alloc`, since the kernel would hide a missing fsync before a rename otherwise.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Container, Iterator, Sequence

from trees import Pool, Tree

IMAGE_BYTES = 1 << 30
OPTIONS = "loop,noauto_da_alloc,commit=600"  # no commit but those that are asked for


class Killed:
    """The device's root is a plain directory."""

    name = "killed"

    def __init__(self, root: Path, pool: Pool, work: Path) -> None:
        self.root, self.pool, self.work = root, pool, work
        self._leave_out: Container[str] = ()

    @contextlib.contextmanager
    def live(self, leave_out: Container[str], fixed: Sequence[str]) -> Iterator[None]:
        """The root as it is, on the medium, while something runs on it; the paths `fixed` do not change."""
        self._leave_out = leave_out
        yield

    def cut(self) -> Tree:
        """What is found on the medium after a cut now."""
        return self.pool.look(self.root, self._leave_out)


class SyncedOnly(Killed):
    name = "synced only"

    def __init__(self, root: Path, pool: Pool, work: Path) -> None:
        super().__init__(root, pool, work)
        self._image, self._copy = work / "image", work / "copy"
        self._under, self._after = work / "under", work / "after"
        for directory in (self._under, self._after):
            directory.mkdir()

    @contextlib.contextmanager
    def live(self, leave_out: Container[str], fixed: Sequence[str]) -> Iterator[None]:
        self._leave_out = leave_out
        tree = self.pool.look(self.root, leave_out)
        with open(self._image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        _do("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard", str(self._image))
        _do("mount", "--bind", str(self.root), str(self._under))
        _do("mount", "-o", OPTIONS, str(self._image), str(self.root))
        try:
            (self.root / "lost+found").rmdir()
            self.pool.put(tree, self.root)
            for path in fixed:
                (self.root / path).mkdir(parents=True)
                _do("mount", "--bind", str(self._under / path), str(self.root / path))
            os.sync()
            yield
        finally:
            _do("umount", "--recursive", str(self.root))
            _do("umount", str(self._under))
            self._image.unlink()

    def cut(self) -> Tree:
        _do("cp", "--sparse=always", str(self._image), str(self._copy))
        _do("mount", "-o", "loop", str(self._copy), str(self._after))
        self.pool.forget()
        try:
            return self.pool.look(self._after, self._leave_out)
        finally:
            self.pool.forget()
            _do("umount", str(self._after))
            self._copy.unlink()


class MetadataOnly(SyncedOnly):
    name = "metadata only"

    def cut(self) -> Tree:
        unrelated = self.root / "run" / "unrelated"  # `run` is in no tree
        unrelated.parent.mkdir(exist_ok=True)
        with open(unrelated, "w") as file:
            file.write("x")
            file.flush()
            os.fsync(file.fileno())  # commits the names of everything, the content of this
        return super().cut()


MEDIA = (Killed, MetadataOnly, SyncedOnly)


def missing_for_images() -> str:
    """Why there can be no crash images here; empty where there can."""
    if os.geteuid() != 0:
        return "crash images need root"
    if not os.access("/dev/loop-control", os.W_OK):
        return "crash images need loop devices"
    missing = [tool for tool in ("mkfs.ext4", "mount", "losetup", "unshare") if shutil.which(tool) is None]
    if missing:
        return f"crash images need {missing[0]}"
    tried = subprocess.run(["unshare", "--mount", "losetup", "--find"], capture_output=True, check=False)
    return "crash images need mounts and a loop device that is free" if tried.returncode else ""


def _do(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
