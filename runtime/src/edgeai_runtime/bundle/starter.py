"""What a bare controller is set up with: `controller.pyz`, one file at the top of the bundle.

It is the runtime's wheel with one file more in it, so that `python3 controller.pyz` runs the runtime with
nothing but Python. That file names by digest what comes after: the locks of the controllers and of Debian
packages, and the root of trust. Whoever was told the digest of controller.pyz has checked all of it; no
TUF client is needed.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Optional, Sequence

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.environments.lock import Lock

NAME = "controller.pyz"
MAIN = '''\
"""Written by `edgeai bundle build`."""
import os, sys
from edgeai_runtime.cli import main
here = os.path.dirname(os.path.abspath(sys.argv[0]))
sys.exit(main(["controller", "install", "--bundle", here, *{pinned!r}, *sys.argv[1:]]))
'''


class Starter:
    """controller.pyz in the bundle `output`; a bundle without `locks` of controllers has none.

    `debian` are the digests of the bundle's locks of Debian packages.
    """

    def __init__(self, output: Path, wheel: Path, locks: Sequence[Lock], debian: Sequence[str]) -> None:
        self._root = output / "metadata" / "1.root.json"
        self._path = output / NAME
        self._wheel = wheel
        self._locks = locks
        self._debian = debian

    def is_right(self) -> bool:
        """Whether it is what belongs to this bundle; a bundle that was not signed yet has none."""
        if not self._locks:
            return not self._path.exists()
        return self._root.is_file() and self._path.is_file() and self._path.read_bytes() == self._content()

    def write(self) -> None:
        """Put it there, or take it away; the bundle has its root by then."""
        if self._locks:
            write_atomic(self._path, self._content())
        elif self._path.exists():
            self._path.unlink()

    @property
    def command(self) -> Optional[str]:
        """What is typed in the bundle's directory on a bare controller; None before there is one."""
        if not self._path.is_file():
            return None
        digest = hashlib.sha256(self._path.read_bytes()).hexdigest()
        return f"echo '{digest}  {NAME}' | sha256sum --check && python3 {NAME}"

    def _content(self) -> bytes:
        pinned = ["--root-sha256", hashlib.sha256(self._root.read_bytes()).hexdigest()]
        pinned += [word for lock in self._locks for word in ("--lock-sha256", lock.digest)]
        pinned += [word for digest in self._debian for word in ("--debian-sha256", digest)]
        buffer = io.BytesIO(self._wheel.read_bytes())
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(zipfile.ZipInfo("__main__.py"), MAIN.format(pinned=pinned))
        return buffer.getvalue()
