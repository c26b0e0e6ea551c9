"""A directory's content as a value: looked at, compared, and put back."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import Container, Dict, Iterator, NamedTuple, Tuple

Stamp = Tuple[int, int, int, int]


class Entry(NamedTuple):
    """`content`: a file's sha256, a link's target, empty for a directory. `mtime_ns` does not count."""

    mode: int
    content: str
    mtime_ns: int


Tree = Dict[str, Entry]


def same(one: Tree, other: Tree) -> bool:
    return one.keys() == other.keys() and all(one[path][:2] == other[path][:2] for path in one)


class Pool:
    """Keeps what files hold by its sha256, so that a thousand trees cost little more than one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True)
        self._known: Dict[Stamp, str] = {}

    def look(self, root: Path, leave_out: Container[str]) -> Tree:
        """The tree below `root`, without the paths in `leave_out` and sockets."""
        tree: Tree = {}
        for path, found in _walk(root, "", leave_out):
            if stat.S_ISLNK(found.st_mode):
                content = str((root / path).readlink())
            elif stat.S_ISREG(found.st_mode):
                content = self._keep(root / path, found)
            else:
                content = ""
            tree[path] = Entry(found.st_mode, content, found.st_mtime_ns)
        return tree

    def forget(self) -> None:
        """Believe no time stamp of before: on another file system the same file may hold less."""
        self._known.clear()

    def put(self, tree: Tree, root: Path, leave: Container[str] = ()) -> None:
        """Make `root` hold this tree and nothing else but what `leave` names."""
        for path, found in reversed(list(_walk(root, "", leave))):
            if not stat.S_ISDIR(found.st_mode):
                (root / path).unlink()
            elif path not in tree and not any((root / path).iterdir()):
                (root / path).rmdir()
        for path, entry in tree.items():
            target = root / path
            if stat.S_ISLNK(entry.mode):
                target.symlink_to(entry.content)
                continue
            if stat.S_ISDIR(entry.mode):
                target.mkdir(exist_ok=True)
            else:
                shutil.copyfile(self._directory / entry.content, target)
                os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
            target.chmod(stat.S_IMODE(entry.mode))

    def read(self, entry: Entry) -> bytes:
        return (self._directory / entry.content).read_bytes()

    def _keep(self, path: Path, found: os.stat_result) -> str:
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if stamp not in self._known:
            data = path.read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()
            if not (self._directory / sha256).exists():
                (self._directory / sha256).write_bytes(data)
            self._known[stamp] = sha256
        return self._known[stamp]


def _walk(root: Path, below: str, leave_out: Container[str]) -> Iterator[Tuple[str, os.stat_result]]:
    """Every path with what it is, a directory before what is in it."""
    for entry in sorted(os.scandir(root / below), key=lambda entry: entry.name):
        path = f"{below}/{entry.name}" if below else entry.name
        found = entry.stat(follow_symlinks=False)
        if path in leave_out or stat.S_ISSOCK(found.st_mode):
            continue
        yield path, found
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(root, path, leave_out)
