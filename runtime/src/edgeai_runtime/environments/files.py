"""The files of an environment as they were built, so that one that was damaged since is found.

The list is what sha256sum writes: `cd ENVIRONMENT && sha256sum --check --quiet .files` says the same. Links
lead to the system's Python, which is updated without us, and are not in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator, List

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.release import file_sha256

LIST = ".files"
PYTHON = "bin/python"


def list_files(environment: Path) -> None:
    """Write the list. Raises StorageError."""
    lines = [f"{file_sha256(path)}  {path.relative_to(environment)}\n" for path in _files(environment)]
    write_atomic(environment / LIST, "".join(lines).encode(errors="surrogateescape"))


def damaged_files(environment: Path) -> List[str]:
    """The names of files that are missing or not what was built: reads all of them."""
    damaged = [] if (environment / PYTHON).exists() else [PYTHON]
    try:
        lines = (environment / LIST).read_bytes().decode(errors="surrogateescape").splitlines()
    except FileNotFoundError:  # the runtime before this one made none
        return damaged
    for line in lines:
        sha256, _spaces, name = line.partition("  ")
        path = environment / name
        if not path.is_file() or file_sha256(path) != sha256:
            damaged.append(name)
    return damaged


def _files(environment: Path) -> Iterator[Path]:
    for directory, _directories, names in os.walk(environment):
        for path in sorted(Path(directory) / name for name in names):
            if not path.is_symlink() and path.name != LIST:
                yield path
