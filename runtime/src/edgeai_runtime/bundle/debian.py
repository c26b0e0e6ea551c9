"""Debian packages for hosts that reach no mirror, chosen and verified by apt itself.

apt runs in a root of its own inside the cache, for the suite and architecture asked for, so that the
workstation's own system is neither read for what is installed nor changed. Its sources are the
workstation's own, with the suite's name in the place of theirs. See apt.conf(5), sources.list(5),
and for the index https://wiki.debian.org/DebianRepository/Format.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from edgeai_runtime.durable import write_atomic
from edgeai_runtime.errors import InputError, TransferError
from edgeai_runtime.release import file_sha256

Progress = Callable[[str], None]

SCHEMA = 1
# What every host has that boots with systemd; only what comes on top of it is carried.
THERE = ("apt", "systemd", "systemd-sysv", "?essential", "?priority(required)")
_NAME = re.compile(r"(?P<suite>[a-z]+)-(?P<architecture>amd64|arm64)")


@dataclass(frozen=True)
class Suite:
    """A distribution's release and an architecture in its own words: "bookworm-arm64"."""

    codename: str
    architecture: str

    @property
    def name(self) -> str:
        return f"{self.codename}-{self.architecture}"

    @classmethod
    def parse(cls, name: str) -> Suite:
        """Raises InputError for what is no such name."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise InputError(
                f"'{name}' names no suite of Debian packages, expected one such as bookworm-arm64 or "
                "trixie-amd64."
            )
        return cls(match["suite"], match["architecture"])


@dataclass(frozen=True)
class Package:
    """One file of a suite: its name in a repository, the sha256 of its content, its size in bytes."""

    filename: str
    sha256: str
    size: int


class DebianCache:
    """Packages fetched before, below `directory`; `files` says where each lies, by sha256."""

    def __init__(self, directory: Path, progress: Progress, sources: Optional[Path] = None) -> None:
        """`sources`: a sources.list to use, whatever the suite; without it this machine's own decide."""
        self.directory = directory
        self.progress = progress
        self.sources = sources
        self.files: Dict[str, Path] = {}

    def lock(self, name: str, packages: Sequence[str], refresh: bool = False) -> bytes:
        """The lock of the suite `name`: `packages` with all that they need, as canonical JSON.

        {"schema", "suite", "architecture", "packages", "files": [{"filename", "sha256", "size"}],
        "index"}; `index` is a repository's Packages file for those files. What was collected once is
        taken from the cache, until a `refresh` asks for what is newest.
        Raises InputError (no apt here, unknown suite or package) and TransferError.
        """
        suite = Suite.parse(name)
        wanted = sorted(set(packages))
        place = self.directory / "debian" / suite.name
        record = place / f"{hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]}.json"
        if record.is_file() and not refresh:
            data = record.read_bytes()
            if self._have(place, data):
                return data
        files = self._collect(suite, wanted, place)
        stanzas = [_stanza(place / file.filename, file) for file in files]
        content = {
            "schema": SCHEMA,
            "suite": suite.codename,
            "architecture": suite.architecture,
            "packages": wanted,
            "files": [vars(file) for file in files],
            "index": "\n".join(stanzas),
        }
        data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        write_atomic(record, data)
        self._have(place, data)
        return data

    def _have(self, place: Path, data: bytes) -> bool:
        """Whether every file of a lock is in the cache; then they are among `files`."""
        found = {file["sha256"]: place / file["filename"] for file in json.loads(data)["files"]}
        if not all(path.is_file() and file_sha256(path) == sha256 for sha256, path in found.items()):
            return False
        self.files.update(found)
        return True

    def _collect(self, suite: Suite, packages: Sequence[str], place: Path) -> List[Package]:
        self.progress(f"choosing {', '.join(packages)} of {suite.name} with what they need")
        apt = _Apt(place / "apt", suite, self._sources(suite))
        apt.update()
        apt.pretend_installed(THERE)
        self.progress(f"fetching Debian packages of {suite.name}")
        files = []
        for fetched in apt.download(packages):
            # apt writes an epoch's colon as %3a, which whoever reads the index would decode.
            path = place / fetched.name.replace("%3a", "-")
            shutil.move(str(fetched), str(path))
            files.append(Package(path.name, file_sha256(path), path.stat().st_size))
        return files

    def _sources(self, suite: Suite) -> str:
        if self.sources is None:
            return _own_sources(suite)
        try:
            return self.sources.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"{self.sources}: the package sources cannot be read ({error.strerror}); correct the path."
            ) from None


class _Apt:
    """apt in a root of its own."""

    def __init__(self, root: Path, suite: Suite, sources: str) -> None:
        self._root = root
        self._suite = suite
        for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "etc/sources.list").write_text(sources, encoding="utf-8")
        (root / "status").write_text("", encoding="utf-8")

    def _run(self, program: str, *arguments: str, directory: Optional[Path] = None) -> str:
        options = {
            "Dir::Etc": self._root / "etc",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State": self._root / "state",
            "Dir::State::status": self._root / "status",
            "Dir::Cache": self._root / "cache",
            "APT::Architecture": self._suite.architecture,
            "APT::Architectures": self._suite.architecture,
            "APT::Install-Recommends": "false",
            # apt gives itself up to a user who may not write here.
            "APT::Sandbox::User": "",
        }
        command = [program, "-qq", *(w for k, v in options.items() for w in ("-o", f"{k}={v}")), *arguments]
        done = subprocess.run(
            command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = [line[3:] for line in done.stderr.splitlines() if line.startswith("E: ")]
            why = (said or done.stderr.strip().splitlines() or ["apt said nothing"])[0].rstrip(".")
            raise TransferError(
                f"Debian packages of {self._suite.name} could not be fetched ({why}); check the names, and "
                "that this workstation's package sources have that suite."
            )
        return done.stdout

    def update(self) -> None:
        self._run("apt-get", "update")

    def pretend_installed(self, patterns: Sequence[str]) -> None:
        """Let apt believe that these and what they need are there."""
        stanzas = self._run("apt-cache", "show", *self._missing(patterns))
        installed = re.sub(r"^(Package: .*)$", r"\1\nStatus: install ok installed", stanzas, flags=re.M)
        (self._root / "status").write_text(installed, encoding="utf-8")

    def download(self, packages: Sequence[str]) -> List[Path]:
        """Fetch packages with what they need, verified by the suite's signature; their files."""
        archives = self._root / "cache/archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        missing = self._missing(packages)
        if missing:  # not `install --download-only`, which leaves files of a local mirror where they are
            self._run("apt-get", "download", *missing, directory=archives)
        return sorted(archives.glob("*.deb"))

    def _missing(self, packages: Sequence[str]) -> List[str]:
        """What apt would install, as name=version."""
        planned = self._run("apt-get", "--simulate", "install", *packages)
        chosen = re.findall(r"^Inst (\S+) \((\S+) ", planned, re.MULTILINE)
        return [f"{name}={version}" for name, version in chosen]


def _own_sources(suite: Suite) -> str:
    """Lines of a sources.list: this machine's own sources, with their suite's name replaced."""
    asked = ["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
        system = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        own = system["VERSION_CODENAME"].strip('"')
        done = subprocess.run(["apt-get", "indextargets", *asked], capture_output=True, text=True, check=True)
    except (OSError, KeyError, subprocess.CalledProcessError):
        raise InputError(
            "Debian packages can be collected on Debian and Ubuntu only, where apt is; leave them out of "
            "this bundle or build it on such a machine."
        ) from None
    keyring = f"/usr/share/keyrings/{system['ID']}-archive-keyring.gpg"
    lines = []
    for found in dict.fromkeys(done.stdout.splitlines()):
        uri, release, component = found.split()
        if release == own or release.startswith(f"{own}-"):
            there = release.replace(own, suite.codename, 1)
            lines.append(f"deb [signed-by={keyring}] {uri} {there} {component}\n")
    return "".join(lines)


def _stanza(path: Path, file: Package) -> str:
    """What a Packages file says of one package."""
    done = subprocess.run(["dpkg-deb", "--field", str(path)], capture_output=True, text=True, check=True)
    return f"{done.stdout.rstrip()}\nFilename: ./{path.name}\nSize: {file.size}\nSHA256: {file.sha256}\n"
