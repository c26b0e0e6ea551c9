"""Root gives itself up: what is done to a device is done as the owner of its files."""

from __future__ import annotations

import os
import pwd

from edgeai_runtime.errors import InputError
from edgeai_runtime.paths import Paths


def become_owner(paths: Paths) -> None:
    """Go on as the owner of `opt/edgeai` when this is root's process and root does not own it.

    Whatever root wrote there, the keeper and its children could neither replace nor remove; and a
    model's file is better not read with root's rights. Raises InputError.
    """
    if os.geteuid() != 0 or not paths.opt.is_dir():
        return
    owner = paths.opt.stat()
    if owner.st_uid == 0:
        return
    try:
        name = pwd.getpwuid(owner.st_uid).pw_name
    except KeyError:
        raise InputError(
            f"{paths.opt}: its owner, uid {owner.st_uid}, is no user of this system; "
            "provision the device again."
        ) from None
    os.initgroups(name, owner.st_gid)
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
