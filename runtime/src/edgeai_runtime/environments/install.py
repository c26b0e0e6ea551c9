"""Unpack wheels into the environment whose Python runs this.

    PYTHONPATH=installer-….whl:… python -m edgeai_runtime.environments.install DIRECTORY WHEEL…

Into DIRECTORY, where each file has its own path again; "/" is the environment itself.

PyPA's `installer` (https://installer.pypa.io) does what the wheel's specification asks of one that
installs, and nothing else: no resolver, no index. It is imported out of its own wheel and not
installed; pip, which would do as well, spends longer on starting than on most wheels. Nothing is
compiled to bytecode: all of it would take longer than everything else together.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Sequence

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile


def main(directory: str, wheels: Sequence[str]) -> int:
    """Install every wheel; whatever fails is raised, and its last line is what the builder tells."""
    places = {**sysconfig.get_paths(), "headers": sysconfig.get_path("include")}
    destination = SchemeDictionaryDestination(
        places, interpreter=sys.executable, script_kind="posix", destdir=directory
    )
    for wheel in map(Path, wheels):
        with WheelFile.open(wheel) as source:
            install(source, destination, additional_metadata={"INSTALLER": b"edgeai\n"})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
