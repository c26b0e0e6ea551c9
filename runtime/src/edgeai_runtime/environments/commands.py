"""The device's own commands, `opt/edgeai/bin/edgeai` and `keeper`: written by provisioning alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Dict, List

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import BuildError
from edgeai_runtime.paths import Paths


def install_commands(paths: Paths, environment: Path, check: bool = False) -> List[str]:
    """Let `edgeai` and `keeper` come from `environment`; returns what was (or would be) done.

    An environment without the runtime (the supervisor's) changes no command. The keeper is copied
    out, since it must outlive every environment. Raises BuildError.
    """
    actions = []
    for name, content in _contents(paths, environment).items():
        path = paths.bin / name
        if path.is_file() and path.read_bytes() == content and path.stat().st_mode & 0o111 == 0o111:
            continue
        actions.append(f"{'would install' if check else 'installed'} {path}")
        if not check:
            write_atomic(path, content, mode=0o755)
    return actions


def _contents(paths: Paths, environment: Path) -> Dict[str, bytes]:
    packages = list(environment.glob("lib/python3*/site-packages/edgeai_runtime"))
    if not packages:
        return {}
    keeper = packages[0] / "keeper.py"
    if not keeper.is_file():
        raise BuildError(
            f"{packages[0]}: the package edgeai_runtime in this environment has no keeper.py; "
            "build the bundle again from a complete runtime."
        )
    program = shlex.quote(str(environment / "bin" / "edgeai"))
    root = shlex.quote(str(paths.root))
    script = f"""#!/bin/sh
# Written by `edgeai environment build`.
export ORT_DISABLE_TELEMETRY=1
exec {program} --root {root} "$@"
"""
    return {"edgeai": script.encode(), "keeper": keeper.read_bytes()}
