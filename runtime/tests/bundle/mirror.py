"""A mirror of Debian packages for tests: real packages with nothing in them, on file://."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from edgeai_runtime.bundle.debian import Package, _stanza
from edgeai_runtime.release import file_sha256


class Mirror:
    """A repository of empty packages below `directory`."""

    def __init__(self, directory: Path, architecture: str = "arm64") -> None:
        self.directory = directory
        self.architecture = architecture
        self.sources = directory / "sources.list"
        directory.mkdir()
        self.sources.write_text(f"deb [trusted=yes] file:{directory} ./\n")
        for name in ("apt", "systemd", "systemd-sysv"):
            self.add(name)
        self.add("libc6", Essential="yes", Priority="required")

    def add(self, name: str, version: str = "1.0", **fields: str) -> None:
        """Put a package there and write the index anew."""
        root = self.directory / "root"
        (root / "DEBIAN").mkdir(parents=True)
        about = {
            "Package": name,
            "Version": version,
            "Architecture": self.architecture,
            "Maintainer": "Nobody <nobody@example.org>",
            "Description": "nothing",
            **fields,
        }
        (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in about.items()))
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "--build", str(root), str(self.directory)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        shutil.rmtree(root)
        debs = sorted(self.directory.glob("*.deb"))
        stanzas = [_stanza(path, Package(path.name, file_sha256(path), path.stat().st_size)) for path in debs]
        (self.directory / "Packages").write_text("\n".join(stanzas))
