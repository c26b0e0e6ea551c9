"""The journal: every step of a device, each a JSON line that is there after a power cut.

A line has the digest of the one before it as `previous`, so that one taken out is missed. A file that
is full becomes journal.N.jsonl, N counting up, and journal.jsonl begins anew; the last few of them stay.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import sys
from pathlib import Path
from typing import Iterator, List, Tuple

from edgeai_keeper.basics import Json, timestamp

# Python's own: importing hashlib loads OpenSSL, 4 MB that would stay in the keeper.
if sys.version_info >= (3, 12):
    from _sha2 import sha256
else:
    from _sha256 import sha256  # type: ignore[import-not-found]  # typeshed leaves it out

FULL = 1 << 20  # bytes of a file: with what is kept some 15,000 steps, and little for an SD card
KEPT = 4  # full ones
LAST_LINES = 1 << 16  # bytes in which the last line begins, but for a very long one


def append_journal(path: Path, event: str, actor: str, fields: Json) -> None:
    """Append one line to the journal at `path` and make it durable. Raises OSError."""
    entry = {"time": timestamp(), "event": event, "actor": actor, **fields}
    with _locked(path.parent, fcntl.LOCK_EX) as directory:
        size, last = _mend(path)
        entry["previous"] = digest(last)
        # A lone surrogate is JSON so.
        line = json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        if size and size + len(line) > FULL:
            _begin_anew(path)
            os.fsync(directory)  # the full one has its name before a line follows it
            size = 0
        journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        try:
            if os.geteuid() == 0:  # others append to it as the owner
                owner = os.fstat(directory)
                os.fchown(journal, owner.st_uid, owner.st_gid)
            if os.write(journal, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(journal)
        except OSError:
            with contextlib.suppress(OSError):  # then the next line drops what is left of this one
                os.ftruncate(journal, size)
            raise
        finally:
            os.close(journal)
        if size == 0:
            os.fsync(directory)


def read_journal(path: Path, reach: int = sys.maxsize) -> List[bytes]:
    """The lines in the journal's last `reach` bytes, oldest first; the first may be cut. Raises OSError."""
    found = b""
    with _locked(path.parent, fcntl.LOCK_SH):
        for file in reversed(_files(path)):
            with open(file, "rb") as lines:
                lines.seek(max(0, os.fstat(lines.fileno()).st_size - (reach - len(found))))
                found = lines.read() + found
            if len(found) >= reach:
                break
    return found.split(b"\n")[:-1]


def digest(line: bytes) -> str:
    """What the next line calls a line, without its end; empty for none."""
    return sha256(line).hexdigest() if line else ""


@contextlib.contextmanager
def _locked(directory: Path, how: int) -> Iterator[int]:
    """Hold the lock of the journal's directory, which stays when files in it change their names."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield descriptor
    finally:
        os.close(descriptor)


def _full_ones(path: Path) -> List[Tuple[int, Path]]:
    """The full files with their numbers, oldest first."""
    found = []
    for file in path.parent.iterdir():
        match = re.fullmatch(rf"{path.stem}\.(\d+)\{path.suffix}", file.name)
        if match:
            found.append((int(match[1]), file))
    return sorted(found)


def _files(path: Path) -> List[Path]:
    return [*(file for _number, file in _full_ones(path)), *([path] if path.exists() else [])]


def _begin_anew(path: Path) -> None:
    """Give the full file its number; one name changes, so that a power cut leaves nothing half done."""
    full = _full_ones(path)
    number = full[-1][0] + 1 if full else 1
    path.rename(path.with_name(f"{path.stem}.{number}{path.suffix}"))
    for _number, file in full[: max(0, len(full) + 1 - KEPT)]:
        file.unlink()


def _mend(path: Path) -> Tuple[int, bytes]:
    """Drop what a power cut or a full disk left of a line; the present file's size, and the last line."""
    size, last = 0, b""
    for file in reversed(_files(path)):
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
        try:
            end, last = _last_line(descriptor)
            if file == path:
                size = end
                if end < os.fstat(descriptor).st_size:
                    os.ftruncate(descriptor, end)
        finally:
            os.close(descriptor)
        if last:
            break
    return size, last


def _last_line(journal: int) -> Tuple[int, bytes]:
    """Where the last whole line ends, and the line. What follows is none: it lacks its end, or is zeros."""
    size = os.fstat(journal).st_size
    begin = max(0, size - LAST_LINES)
    tail = os.pread(journal, LAST_LINES, begin)
    if tail.count(b"\n") < 2:  # it begins before
        begin, tail = 0, os.pread(journal, size, 0)
    whole, newline, _torn = tail.rpartition(b"\n")
    return begin + len(whole) + len(newline), whole.rpartition(b"\n")[2]
