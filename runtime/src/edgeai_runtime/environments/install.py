"""Unpack wheels into the environment whose Python runs this.

    PYTHONPATH=installer-….whl:… python -m edgeai_runtime.environments.install DIRECTORY WHEEL…

Into DIRECTORY, where each file has its own path again; "/" is the environment itself.

PyPA's `installer` (https://installer.pypa.io) does what the wheel's specification asks of one that
installs, and nothing else: no resolver, no index. It is imported out of its own wheel and not
installed; pip, which would do as well, spends longer on starting than on most wheels. Nothing is
compiled to bytecode: all of it would take longer than everything else together.

It believes a wheel's paths, so these are looked at first.
"""

from __future__ import annotations

import stat
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Sequence

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile
from installer.utils import parse_entrypoints

# Of a wheel that is unpacked, times its size and bytes beside; the largest that is known has ten times.
MOST_UNPACKED, UNPACKED_BESIDE = 20, 1_000_000
PLAIN = (0, stat.S_IFREG, stat.S_IFDIR)  # 0: packed where there are no such kinds


def main(directory: str, wheels: Sequence[str]) -> int:
    """Install every wheel; whatever fails is raised, and its last line is what the builder tells."""
    places = {**sysconfig.get_paths(), "headers": f"{sys.prefix}/include"}  # "include" is the system's
    destination = SchemeDictionaryDestination(
        places, interpreter=sys.executable, script_kind="posix", destdir=directory
    )
    for wheel in map(Path, wheels):
        with zipfile.ZipFile(wheel) as archive:
            source = WheelFile(archive)
            _check(wheel, archive, source)
            install(source, destination, additional_metadata={"INSTALLER": b"edgeai\n"})
    return 0


def _check(wheel: Path, archive: zipfile.ZipFile, source: WheelFile) -> None:
    """Raise ValueError for a wheel that would leave the environment, fill the disk or never end."""
    data = source.data_dir
    for entry in archive.infolist():
        if entry.filename.startswith("/") or ".." in entry.filename.split("/"):
            raise ValueError(f"{wheel.name}: {entry.filename!r} leads out of the environment")
        # `installer` would look for ever for the place of such a one.
        if entry.filename.startswith(data) and not entry.filename.startswith(f"{data}/"):
            raise ValueError(f"{wheel.name}: {entry.filename!r} is in the way of {data}")
        if stat.S_IFMT(entry.external_attr >> 16) not in PLAIN:
            raise ValueError(f"{wheel.name}: {entry.filename!r} is neither a file nor a directory")
    unpacked = sum(entry.file_size for entry in archive.infolist())
    allowed = MOST_UNPACKED * wheel.stat().st_size + UNPACKED_BESIDE
    if unpacked > allowed:
        raise ValueError(f"{wheel.name}: it would unpack to {unpacked} bytes, allowed are {allowed}")
    if "entry_points.txt" in source.dist_info_filenames:
        for name, *_rest in parse_entrypoints(source.read_dist_info("entry_points.txt")):
            if "/" in name:
                raise ValueError(f"{wheel.name}: its command {name!r} leads out of the environment")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
