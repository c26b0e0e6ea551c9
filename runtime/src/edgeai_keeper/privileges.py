"""Where the keeper is root's: what a generation's process gives up before it starts."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path
from typing import Callable, Optional

from edgeai_keeper.basics import Refused

CLONE_NEWNS = 0x20000  # unshare(2)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 32, 4096, 16384, 1 << 19  # mount(2)
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # prctl(2)


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


def give_up(user: pwd.struct_passwd, opt: Path, var: Path) -> Callable[[], None]:
    """What a child does before it becomes a generation: be `user`, and write in `opt` and `var` no more."""
    keeper, groups = os.getpid(), os.getgrouplist(user.pw_name, user.pw_gid)

    def in_child() -> None:
        import ctypes  # here, where it takes no memory of the keeper's

        libc = ctypes.CDLL(None)

        def mount(source: Optional[bytes], place: bytes, flags: int) -> bool:
            return bool(libc.mount(source, place, None, ctypes.c_ulong(flags), None) == 0)

        # Whose directory `var` is could replace what lies in it. A container's root may have no right to
        # mount: then the modes of the files stand alone.
        if libc.unshare(CLONE_NEWNS) == 0 and mount(None, b"/", MS_REC | MS_SLAVE):
            for place in map(os.fsencode, (opt, var)):
                mount(place, place, MS_BIND)
                mount(None, place, MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.setgroups(groups)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # last: setuid takes it away again
        if os.getppid() != keeper:  # it ended before the kernel was asked to tell
            os._exit(1)

    return in_child
