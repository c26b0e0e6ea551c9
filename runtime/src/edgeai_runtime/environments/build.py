"""Build an environment: a venv in place, from a lock and the store.

A venv cannot be moved, so it is built where it stays and counts only once `.complete` is in it.
The device needs neither pip nor ensurepip: the lock brings what installs, which runs out of its own
wheel and is not installed. `python -m venv --without-pip` works on a bare Debian too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List

import edgeai_runtime
from edgeai_runtime.durable import append_journal, device_lock, fsync_directory, write_atomic
from edgeai_runtime.environments.interpreter import check_fits, run
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.environments.system_package import link_system_package
from edgeai_runtime.errors import TransferError
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust import store

LOCK_LIMIT = 1 << 20  # bytes
MARKER = ".complete"

# What each of these wheels is asked to import once it is installed.
_FIRST_IMPORTS = {
    "httptools": ["httptools"],
    "numpy": ["numpy"],
    "onnx": ["onnx"],
    "onnxruntime": ["onnxruntime", "onnxruntime.quantization"],
    "onnxruntime_gpu": ["onnxruntime", "onnxruntime.quantization"],
    "pillow": ["PIL.Image"],
    "psutil": ["psutil"],
    "requests": ["requests"],
    "tuf": ["tuf.ngclient.updater"],
}


@dataclass(frozen=True)
class BuildResult:
    """`environment` is the lock's digest, `path` the venv, `actions` what was (or would be) done."""

    environment: str
    path: str
    changed: bool
    actions: List[str]


def build_from_depot(
    paths: Paths,
    lock_sha256: str,
    depot_url: str,
    python: str,
    check: bool = False,
    progress: Callable[[str], None] = lambda sentence: None,
) -> BuildResult:
    """Fetch the lock and its wheels from the depot by digest and build the environment with `python`.

    `lock_sha256` is what the caller verified (over SSH, from the controller). The same again changes
    nothing and needs no depot. Raises TransferError, TrustError, BuildError.
    """
    environment = paths.environment(lock_sha256)
    if check:
        actions = [] if is_complete(environment) else [f"would build the environment {lock_sha256[:12]}"]
        return BuildResult(lock_sha256, str(environment), bool(actions), actions)
    with device_lock(paths):
        actions = []
        if not is_complete(environment):
            data = store.read_blob(depot_url, lock_sha256, LOCK_LIMIT)
            lock = Lock.from_json(data, f"{depot_url}, lock {lock_sha256[:12]}")
            check_fits(lock, python)
            _fetch_wheels(paths, depot_url, lock, progress)
            progress(f"installing {len(lock.wheels)} wheels")
            _build(paths, environment, lock, data, python)
            actions.append(
                f"built the environment {lock.name} {lock_sha256[:12]} from {len(lock.wheels)} wheels"
            )
            append_journal(paths, "environment", "provision", environment=lock_sha256, lock=lock.name)
        # Before the service first starts: its sandbox makes those read-only that it finds.
        for directory in (paths.conversions, paths.generations, paths.trust):
            directory.mkdir(parents=True, exist_ok=True)
    return BuildResult(lock_sha256, str(environment), bool(actions), actions)


def is_complete(environment: Path) -> bool:
    """Whether an environment was built to its end."""
    return (environment / MARKER).is_file()


def _fetch_wheels(paths: Paths, depot_url: str, lock: Lock, progress: Callable[[str], None]) -> None:
    wheels = [lock.installer, *lock.wheels]
    for number, wheel in enumerate(wheels, 1):
        store.drop_damaged(paths, wheel.sha256)  # what is installed is what was signed, today as well
        if store.fetch_blob(paths, depot_url, wheel.sha256, wheel.size):
            progress(f"{number} of {len(wheels)} wheels: {wheel.filename}")


def _build(paths: Paths, environment: Path, lock: Lock, data: bytes, python: str) -> None:
    """Build the venv; where that fails, nothing of it stays."""
    shutil.rmtree(environment, ignore_errors=True)  # a half-built one
    try:
        environment.parent.mkdir(parents=True, exist_ok=True)
        run(python, ["-m", "venv", "--without-pip", str(environment)], f"make a venv in {environment}")
        _install(paths, environment, lock)
        if lock.accelerator not in ("", "cpu"):
            link_system_package(environment, python)
        _first_import(environment, lock)
        write_atomic(environment / "lock.json", data)
        os.sync()  # thousands of files: one sync is what the SD card takes best
        write_atomic(environment / MARKER, f"{environment.name}\n".encode())
        fsync_directory(environment.parent)
    except OSError as error:
        shutil.rmtree(environment, ignore_errors=True)
        raise TransferError(
            f"{environment}: cannot be written ({error.strerror}); make room or correct the permissions, "
            "then run the command again."
        ) from None
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise


def _install(paths: Paths, environment: Path, lock: Lock) -> None:
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=str(paths.store)) as directory:
        # Who installs wants wheels under their own names.
        names = Path(directory)
        for wheel in (lock.installer, *lock.wheels):
            (names / wheel.filename).symlink_to(store.blob_path(paths, wheel.sha256).resolve())
        ours = str(Path(edgeai_runtime.__file__).parents[1])  # a wheel too, where provisioning runs this
        run(
            str(environment / "bin" / "python"),
            ["-m", "edgeai_runtime.environments.install", *(str(names / w.filename) for w in lock.wheels)],
            "install the wheels",
            {
                "PYTHONPATH": os.pathsep.join([str(names / lock.installer.filename), ours]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )


def _first_import(environment: Path, lock: Lock) -> None:
    """Import once what is used: proves that the wheels run on this device, and leaves the bytecode needed.

    The one who serves may not be allowed to write here: without it every start would compile anew.
    """
    names = [wheel.filename.split("-")[0].lower() for wheel in lock.wheels]
    modules = [module for name in names for module in _FIRST_IMPORTS.get(name, [])]
    own = [str(path) for path in environment.glob("lib/python3*/site-packages/edgeai_runtime")]
    program = f"import compileall\nfor path in {own!r}: compileall.compile_dir(path, quiet=2)\n"
    program += "".join(f"import {module}\n" for module in modules)
    run(str(environment / "bin" / "python"), ["-c", program], "import what was installed")
