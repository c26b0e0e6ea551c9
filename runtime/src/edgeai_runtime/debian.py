"""Install Debian packages that a bundle brought, on a host that reaches no mirror. Standard library only.

The lock's digest comes from who verified the bundle; every package is checked against the lock, and
apt installs from a repository of these files alone, which is gone afterwards. Nothing is started:
whoever wants the service configures it first (policy-rc.d,
https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

from edgeai_runtime.errors import BuildError, InputError
from edgeai_runtime.trust import store, transfer
from edgeai_runtime.trust.depots import Depots
from edgeai_runtime.trust.meter import Meter

LOCK_LIMIT = 4 << 20  # bytes
POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class InstallResult:
    """`packages` are those that were (or would be) installed of what was asked for."""

    packages: List[str]
    changed: bool
    actions: List[str]


def install(
    scratch: Path,
    lock_sha256: str,
    depots: Depots,
    packages: Sequence[str],
    check: bool = False,
    progress: Callable[[str], None] = lambda sentence: None,
) -> InstallResult:
    """Install those of `packages` that are missing, with what they need; the rest is left alone.

    Meanwhile the packages lie in the directory `scratch`, which has room for them.
    Raises InputError (not root, another suite, a package the bundle lacks), TransferError, TrustError
    and BuildError with apt's own words.
    """
    missing = [name for name in packages if not _is_installed(name)]
    said = f"{', '.join(missing)} from the bundle"
    if not missing or check:
        return InstallResult(missing, bool(missing), [f"would install {said}"] if missing else [])
    if os.geteuid() != 0:
        raise InputError("Installing Debian packages takes root; become root, with Ansible: become: true.")
    lock = depots.ask(lambda url: _read_lock(url, lock_sha256))
    _check_fits(lock, missing)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="debian-", dir=str(scratch)) as directory:
        repository = Path(directory)
        meter = depots.meter(sum(file["size"] for file in lock["files"]), progress)
        for number, file in enumerate(lock["files"], 1):
            progress(f"{number} of {len(lock['files'])} packages: {file['filename']}")
            _fetch(depots, file, repository, meter)
        (repository / "Packages").write_text(lock["index"], encoding="utf-8")
        progress(f"installing {', '.join(missing)}")
        _install(repository, missing)
    return InstallResult(missing, True, [f"installed {said}"])


def _fetch(depots: Depots, file: Mapping[str, Any], repository: Path, meter: Meter) -> None:
    sha256, size = file["sha256"], file["size"]
    partial, path = repository / "partial", repository / Path(file["filename"]).name
    depots.ask(lambda url: transfer.fetch(store.blob_url(url, sha256), partial, path, sha256, size, meter))


def find_lock(digests: Sequence[str], depot_url: str, package: str) -> Optional[str]:
    """The digest of the lock that has `package` for this host; None where there is none.

    Raises TransferError, TrustError.
    """
    for digest in digests:
        lock = _read_lock(depot_url, digest)
        if _suite_of(lock) == this_suite() and package in lock["packages"]:
            return digest
    return None


def this_suite() -> str:
    """This host's suite and architecture, as a bundle names them; raises InputError where it is no Debian."""
    done = _run_dpkg("dpkg", "--print-architecture")
    codename = "a system without a codename"
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            codename = line.partition("=")[2].strip('"')
    return f"{codename}-{done.decode().strip()}"


def _read_lock(depot_url: str, digest: str) -> Dict[str, Any]:
    lock: Dict[str, Any] = json.loads(store.read_blob(depot_url, digest, LOCK_LIMIT))
    return lock


def _suite_of(lock: Dict[str, Any]) -> str:
    return f"{lock['suite']}-{lock['architecture']}"


def _is_installed(package: str) -> bool:
    return _run_dpkg("dpkg-query", "--show", "--showformat", "${db:Status-Status}", package) == b"installed"


def _run_dpkg(*command: str) -> bytes:
    """What it prints; raises InputError on a system without dpkg."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    except OSError:
        raise InputError("Packages cannot be installed: this host has no dpkg, expected Debian.") from None
    return done.stdout


def _check_fits(lock: Dict[str, Any], packages: Sequence[str]) -> None:
    made_for, here = _suite_of(lock), this_suite()
    if here != made_for:
        raise InputError(
            f"This host is {here}, the packages are for {made_for}; "
            f"build the bundle with bundle_debian: [{here}]."
        )
    unknown = [name for name in packages if name not in lock["packages"]]
    if unknown:
        raise InputError(
            f"The bundle brings {', '.join(lock['packages'])} for {made_for}, but not {', '.join(unknown)}; "
            "add it to bundle_debian_packages and build the bundle again."
        )


def _install(repository: Path, packages: Sequence[str]) -> None:
    (repository / "sources.list").write_text(f"deb [trusted=yes] file:{repository} ./\n", encoding="utf-8")
    (repository / "lists" / "partial").mkdir(parents=True)
    options = {
        "Dir::Etc::SourceList": repository / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": repository / "lists",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Install-Recommends": "false",
        # The repository is root's own and not for the user that apt downloads as.
        "APT::Sandbox::User": "root",
        "Dpkg::Options::": "--force-confold",  # what somebody configured here stays
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    with _nothing_started():
        for arguments in (["update"], ["install", "--yes", *packages]):
            done = subprocess.run(
                ["apt-get", "-qq", *words, *arguments],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode:
                lines = [line for line in done.stdout.splitlines() if line.startswith("E: ")]
                why = (lines or done.stdout.strip().splitlines() or ["it said nothing"])[-1]
                raise BuildError(
                    f"apt-get {arguments[0]} failed ({why}); correct that on the host, then run this again."
                )


@contextlib.contextmanager
def _nothing_started() -> Iterator[None]:
    """Forbid that a package starts its service when it is installed; a policy that is there stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\n# While edgeai installs packages.\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
