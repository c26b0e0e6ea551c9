"""The device's own commands, `opt/edgeai/bin/edgeai` and `keeper`.

Provisioning writes them as root where the runtime has a user of its own: what root or systemd starts is
nothing that this user could have changed.
"""

from __future__ import annotations

import os
import pkgutil
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

import edgeai_runtime
from edgeai_runtime.durable import write_atomic
from edgeai_runtime.environments.build import is_complete
from edgeai_runtime.errors import BuildError
from edgeai_runtime.ownership import owner_of
from edgeai_runtime.paths import Paths


@dataclass(frozen=True)
class UseResult:
    """`actions` is what was (or would be) done."""

    changed: bool
    actions: List[str]


def use_environment(paths: Paths, lock_sha256: str, check: bool = False) -> UseResult:
    """Let `edgeai` come from the environment that a lock names, and `keeper` from the runtime that runs this.

    The keeper is a file of its own, since it must outlive every environment. An environment without
    the runtime (the supervisor's) changes no command. Raises BuildError.
    """
    environment = paths.environment(lock_sha256)
    if not is_complete(environment) and not check:
        raise BuildError(f"{environment}: there is no complete environment; build it first.")
    program = environment / "bin" / "edgeai"
    if not program.is_file():
        return UseResult(False, [])
    actions = []
    for name, content in _contents(paths, program).items():
        path = paths.bin / name
        if _is_ours(path) and path.read_bytes() == content:
            continue
        actions.append(f"{'would install' if check else 'installed'} {path}")
        if not check:
            write_atomic(path, content, mode=0o755)
    return UseResult(bool(actions), actions)


def _is_ours(path: Path) -> bool:
    """Whether there is such a file, that may be run, and that nobody else may change."""
    if not path.is_file():
        return False
    found = path.stat()
    return found.st_uid == os.geteuid() and found.st_mode & 0o777 == 0o755


def _contents(paths: Paths, program: Path) -> Dict[str, bytes]:
    keeper = pkgutil.get_data(edgeai_runtime.__name__, "keeper.py")
    if keeper is None:
        raise BuildError("the runtime that runs this has no keeper.py; build the bundle again.")
    command = f"{shlex.quote(str(program))} --root {shlex.quote(str(paths.root))}"
    owner = owner_of(paths)
    script = """#!/bin/sh
# Written by `edgeai environment use`.
export ORT_DISABLE_TELEMETRY=1
"""
    if owner.pw_uid != 0:
        script += f"""# Root goes on as the owner before it starts anything that the owner could have changed.
[ "$(id -u)" -ne 0 ] || exec runuser --user {shlex.quote(owner.pw_name)} -- {command} "$@"
"""
    script += f"""exec {command} "$@"
"""
    return {"edgeai": script.encode(), "keeper": keeper}
