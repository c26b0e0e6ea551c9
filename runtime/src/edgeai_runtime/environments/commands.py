"""The device's own commands, `opt/edgeai/bin/edgeai` and `keeper`.

Provisioning writes them as root where the runtime has a user of its own: what root or systemd starts is
nothing that this user could have changed.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import os
import pkgutil
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

import edgeai_keeper

from edgeai_runtime.durable import append_journal, write_atomic
from edgeai_runtime.environments.venv import is_complete
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
    if actions and not check:
        append_journal(paths, "environment_used", environment=lock_sha256, installed=actions)
    return UseResult(bool(actions), actions)


def _is_ours(path: Path) -> bool:
    """Whether there is such a file, that may be run, and that nobody else may change."""
    if not path.is_file():
        return False
    found = path.stat()
    return found.st_uid == os.geteuid() and found.st_mode & 0o777 == 0o755


def _contents(paths: Paths, program: Path) -> Dict[str, bytes]:
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
    return {"edgeai": script.encode(), "keeper": keeper_archive()}


def keeper_archive() -> bytes:
    """The package edgeai_keeper as one file that Python runs (zipapp); equal sources give equal bytes.

    Each module is in it compiled as well, by the Python that provisions: compiling at each start
    would leave the keeper some 4 MB larger. Another Python takes the source.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(edgeai_keeper.__path__))
    modules = {f"edgeai_keeper/{name}": _source(f"{name}.py") for name in ("__init__", *names)}
    modules["__main__"] = b"from edgeai_keeper import __main__\n\nraise SystemExit(__main__.main())\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, source in modules.items():
            for suffix, data in ((".py", source), (".pyc", _compiled(name, source))):
                writer.writestr(zipfile.ZipInfo(name + suffix), data)  # of 1980: the same each time
    return archive.getvalue()


def _source(name: str) -> bytes:
    data = pkgutil.get_data(edgeai_keeper.__name__, name)
    if data is None:
        raise BuildError(f"the runtime that runs this has no {name} of the keeper; build the bundle again.")
    return data


def _compiled(name: str, source: bytes) -> bytes:
    """What PEP 552 calls an unchecked hash-based pyc."""
    code = compile(source, f"{name}.py", "exec", dont_inherit=True)
    flags = (1).to_bytes(4, "little")
    # Version 2 of marshal knows no references, whose number would depend on what else was loaded.
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + marshal.dumps(code, 2)
