"""Set up a bare controller from a bundle that was carried to it. Standard library only.

    DIRECTORY/envs/<lock digest>/    Ansible, the collection and the runtime, in one environment
    DIRECTORY/current -> envs/…      the one in use: current/bin/ansible-playbook
    DIRECTORY/root.json              the root of trust, for runtime_root_json

The digests come from whoever was told the digest of controller.pyz: what is not what they say is
refused before anything of it is used.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Sequence

from edgeai_runtime import debian
from edgeai_runtime.durable import fsync_directory, write_atomic, writing
from edgeai_runtime.environments.build import LOCK_LIMIT
from edgeai_runtime.environments.interpreter import check_fits
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.environments.venv import build_venv, is_complete
from edgeai_runtime.errors import InputError, TrustError
from edgeai_runtime.trust import store, transfer
from edgeai_runtime.trust.depots import Depots

ROOT_LIMIT = 1 << 20  # bytes
SSH = "openssh-client"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ControllerResult:
    """`ansible_playbook` is the program to type, `root_json` what to name in runtime_root_json."""

    ansible_playbook: str
    root_json: str
    changed: bool
    actions: List[str]


def install(
    bundle: Path,
    into: Path,
    lock_digests: Sequence[str],
    debian_digests: Sequence[str],
    root_sha256: str,
    check: bool = False,
    progress: Progress = lambda sentence: None,
) -> ControllerResult:
    """Let the directory `into` hold the controller that the bundle has for this Python on this machine.

    The same again changes nothing; what was broken off is finished; the controller of another bundle
    is replaced once this one is whole.
    Raises InputError, TrustError, TransferError, BuildError, StorageError.
    """
    depot_url = bundle.absolute().as_uri()
    root = _read_root(f"{depot_url}/metadata/1.root.json", root_sha256)
    lock = _choose([_read_lock(depot_url, digest) for digest in lock_digests])
    check_fits(lock, sys.executable)
    into = into.absolute()
    _refuse_shared(into)
    environment, current, pinned = into / "envs" / lock.digest, into / "current", into / "root.json"
    actions = []
    os.umask(0o022)  # whoever sets it up, others play with it
    with writing(into):
        if not (is_complete(environment) and current.resolve() == environment.resolve()):
            removal = f"`rm -r {into}` removes it"
            actions.append(f"{'would set' if check else 'set'} up {lock.name} in {into}; {removal}")
            if not check:
                _build(environment, lock, depot_url, progress)
                _link(current, environment)
        if not pinned.is_file() or pinned.read_bytes() != root:
            actions.append(f"{'would pin' if check else 'pinned'} the root of trust in {pinned}")
            if not check:
                write_atomic(pinned, root)
        actions += _install_ssh(environment.parent, debian_digests, depot_url, check, progress)
        if actions and not check:
            for other in environment.parent.iterdir():
                if other != environment:
                    shutil.rmtree(other)
    return ControllerResult(str(current / "bin" / "ansible-playbook"), str(pinned), bool(actions), actions)


def _read_root(url: str, sha256: str) -> bytes:
    data = transfer.read(url, ROOT_LIMIT)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise TrustError(f"{url}: this is another root of trust than was signed; copy the bundle again.")
    return data


def _read_lock(depot_url: str, digest: str) -> Lock:
    return Lock.from_json(store.read_blob(depot_url, digest, LOCK_LIMIT), f"{depot_url}, lock {digest[:12]}")


def _choose(locks: Sequence[Lock]) -> Lock:
    """The lock for the Python that runs this."""
    here = (f"{sys.version_info[0]}.{sys.version_info[1]}", platform.machine())
    for lock in locks:
        if (lock.python, lock.architecture) == here:
            return lock
    known = ", ".join(lock.name.partition("-")[2] for lock in locks)
    raise InputError(
        f"This is Python {here[0]} on {here[1]}, and the bundle sets up {known}; type the name of such a "
        "Python (python3.11, for one) instead of python3, or name others in bundle_controllers."
    )


def _refuse_shared(into: Path) -> None:
    """It is removed by deleting it, so nothing of anybody else's may be in there."""
    if into.is_dir() and any(into.iterdir()) and not (into / "envs").is_dir():
        raise InputError(
            f"{into}: there is something else in this directory; name one of its own with --into."
        )


def _build(environment: Path, lock: Lock, depot_url: str, progress: Progress) -> None:
    if is_complete(environment):
        return
    wheels = environment.parent / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)  # of one that was broken off
    wheels.mkdir(parents=True)
    for number, wheel in enumerate((lock.installer, *lock.wheels), 1):
        progress(f"{number} of {len(lock.wheels) + 1} wheels: {wheel.filename}")
        url = store.blob_url(depot_url, wheel.sha256)
        transfer.fetch(url, wheels / "partial", wheels / wheel.filename, wheel.sha256, wheel.size)
    progress(f"installing {len(lock.wheels)} wheels")
    build_venv(environment, lock, wheels, sys.executable)


def _install_ssh(
    scratch: Path, digests: Sequence[str], depot_url: str, check: bool, progress: Progress
) -> List[str]:
    """Bring what reaches the devices, which a minimal Debian lacks; what was (or would be) done."""
    if shutil.which("ssh"):
        return []
    digest = debian.find_lock(digests, depot_url, SSH)
    if digest is None:
        progress(f"There is no ssh here, and the bundle brings no {SSH} for this system: see bundle_debian.")
        return []
    return debian.install(scratch, digest, Depots([depot_url]), [SSH], check, progress).actions


def _link(current: Path, environment: Path) -> None:
    """Let `current` lead there from one instant to the next."""
    beside = current.with_name(".current")
    if beside.is_symlink():
        beside.unlink()
    beside.symlink_to(os.path.relpath(environment, current.parent))
    beside.replace(current)
    fsync_directory(current.parent)
