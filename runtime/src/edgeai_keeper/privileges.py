"""What a generation's process gives up before it starts: rights, and places it could write to."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import struct
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence

from edgeai_keeper.basics import Refused

CLONE_NEWNS = 0x20000  # unshare(2)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 32, 4096, 16384, 1 << 19  # mount(2)
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # prctl(2)
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # landlock(7); the numbers of every architecture
RULESET_VERSION, PATH_BENEATH = 1, 1
WRITE_FILE, REMOVE_AND_MAKE, TRUNCATE = 1 << 1, 0b1_1111_1111 << 4, 1 << 14


def owner_below_root(var: Path) -> Optional[pwd.struct_passwd]:
    """Whom `var` belongs to, where this process is root's and `var` is not. Raises Refused."""
    owner = var.stat().st_uid
    if os.geteuid() != 0 or owner == 0:
        return None
    try:
        return pwd.getpwuid(owner)
    except KeyError:
        raise Refused(
            f"{var}: its owner, uid {owner}, is no user here; provision the device again."
        ) from None


def give_up(
    user: Optional[pwd.struct_passwd], closed: Sequence[Path], own: Sequence[Path]
) -> Callable[[], None]:
    """What a child does before it becomes a generation: be `user`, where one is given, and write beneath
    `closed` no more, but for the directories `own`."""
    keeper = os.getpid()
    groups = [] if user is None else os.getgrouplist(user.pw_name, user.pw_gid)

    def in_child() -> None:
        try:
            import ctypes  # here, where it takes no memory of the keeper's

            libc = ctypes.CDLL(None)
        except (ImportError, MemoryError, OSError):  # a Python without it, or a sandbox that it does not fit
            if user is not None:
                raise  # rather none than one with root's rights
            return
        if user is not None:
            close_by_mounts(libc, closed, own)
            os.setgroups(groups)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        close_by_landlock(libc, closed, own)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # last: setuid takes it away again
        if os.getppid() != keeper:  # it ended before the kernel was asked to tell
            os._exit(1)

    return in_child


def close_by_mounts(libc: Any, closed: Sequence[Path], own: Sequence[Path]) -> None:
    """Root's way, on every kernel. A container's root may have no right to mount."""

    def mount(source: Optional[bytes], place: bytes, flags: int) -> bool:
        return bool(libc.mount(source, place, None, flags, None) == 0)

    if libc.unshare(CLONE_NEWNS) == 0 and mount(None, b"/", MS_REC | MS_SLAVE):
        for places, flags in ((closed, MS_RDONLY), (own, 0)):
            for place in map(os.fsencode, places):
                mount(place, place, MS_BIND)
                mount(None, place, MS_REMOUNT | MS_BIND | flags)


def close_by_landlock(libc: Any, closed: Sequence[Path], own: Sequence[Path]) -> None:
    """Anybody's way, where the kernel has it: since 5.13 if its maker chose so (Debian, Ubuntu), since
    6.2 for truncate(2) as well."""
    version = libc.syscall(CREATE_RULESET, None, 0, RULESET_VERSION)
    if version < 1:
        return
    writing = WRITE_FILE | REMOVE_AND_MAKE | (TRUNCATE if version >= 3 else 0)
    rules = libc.syscall(CREATE_RULESET, struct.pack("Q", writing), 8, 0)
    # What is not allowed is forbidden: accelerators' nodes and scratch files are all that is left besides.
    for place in [*places_above_nothing(closed), *own]:
        with contextlib.suppress(OSError):  # one that is not there needs no rule
            descriptor = os.open(place, os.O_PATH | os.O_DIRECTORY)
            libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", writing, descriptor), 0)
            os.close(descriptor)
    libc.syscall(RESTRICT_SELF, rules, 0)
    os.close(rules)


def places_above_nothing(closed: Sequence[Path]) -> List[Path]:
    """Where anybody may write, unless what is closed lies there: then the place is closed with it."""
    scratch = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - it is allowed, nothing is made there
    common = map(Path, ("/dev", "/proc", scratch))
    return [place for place in common if all(place.resolve() not in other.parents for other in closed)]
