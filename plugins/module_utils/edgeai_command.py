# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs an `edgeai` command from a module: one that has no device's own `edgeai` to ask yet, or no device."""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.edgeai.fleet.plugins.module_utils.answer import Answer, Refused, read_answer


def device_argument_spec(**options: Dict[str, Any]) -> Dict[str, Any]:
    """The arguments of a module that runs on a device: its own and `root`."""
    return {"root": {"type": "path", "default": "/"}, **options}


def ask(
    command: List[str],
    environment: Optional[Mapping[str, str]] = None,
    run_as: Optional[Callable[[], None]] = None,
) -> Answer:
    """Run `edgeai … --json …` and return its answer. Raises Refused."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
            preexec_fn=run_as,
            check=False,
        )
    except OSError as error:
        raise Refused(
            f"{command[0]} cannot be started ({error.strerror}); install it or name another.", kind="no_answer"
        ) from None
    return read_answer(done.stdout, done.stderr, done.returncode, " ".join(command))


def owner_of(path: str) -> Optional[Callable[[], None]]:
    """What makes root's child process the owner of `path`; None where there is nothing to give up."""
    if os.geteuid() != 0:
        return None
    found = os.stat(path)
    if found.st_uid == 0:
        return None
    name = pwd.getpwuid(found.st_uid).pw_name

    def become_owner() -> None:
        os.initgroups(name, found.st_gid)
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)

    return become_owner
