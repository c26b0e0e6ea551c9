"""Root gives itself up: what is done to a device is done as the owner of its state."""

from __future__ import annotations

import os
import pwd

from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths


def owner_of(paths: Paths) -> pwd.struct_passwd:
    """Whom `var/lib/edgeai` belongs to. Raises InputError."""
    owner = paths.var.stat().st_uid
    try:
        return pwd.getpwuid(owner)
    except KeyError:
        raise InputError(
            f"{paths.var}: its owner, uid {owner}, is no user of this system; provision the device again."
        ) from None


def become_owner(paths: Paths) -> None:
    """Go on as the owner of `var/lib/edgeai` when this is root's process and root does not own it.

    Whatever root wrote there, the keeper and its children could neither replace nor remove; and a
    model's file is better not read with root's rights. Raises InputError.
    """
    if os.geteuid() != 0 or not paths.var.is_dir():
        return
    owner = owner_of(paths)
    if owner.pw_uid == 0:
        return
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
