"""A venv, built in place from a lock and its wheels.

A venv cannot be moved, so it is built where it stays and counts only once `.complete` is in it.
The machine needs neither pip nor ensurepip: the lock brings what installs, which runs out of its own
wheel and is not installed. `python -m venv --without-pip` works on a bare Debian too.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Sequence

import edgeai_runtime
from edgeai_runtime.durable import fsync_directory, write_atomic, writing
from edgeai_runtime.environments.files import list_files
from edgeai_runtime.environments.interpreter import run
from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.environments.system_package import link_system_package

MARKER = ".complete"
_AGAIN = ".again"  # the wheels installed beside, while what is damaged is taken from there

# What each of these wheels is asked to import once it is installed.
_FIRST_IMPORTS = {
    "ansible_core": ["ansible.executor.playbook_executor"],
    "cryptography": ["cryptography.x509"],
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


def is_complete(environment: Path) -> bool:
    """Whether an environment was built to its end."""
    return (environment / MARKER).is_file()


def build_venv(environment: Path, lock: Lock, wheels: Path, python: str) -> None:
    """Build the venv from the lock's wheels in the directory `wheels`, which hold what was signed.

    Where that fails, nothing of it stays. Raises BuildError and StorageError.
    """
    shutil.rmtree(environment, ignore_errors=True)  # a half-built one
    try:
        with writing(environment):
            environment.parent.mkdir(parents=True, exist_ok=True)
            run(python, ["-m", "venv", "--without-pip", str(environment)], f"make a venv in {environment}")
            _install(environment, lock, wheels, Path("/"))
            if lock.accelerator not in ("", "cpu"):
                link_system_package(environment, python)
            _first_import(environment, lock)
            write_atomic(environment / "lock.json", lock.to_json())
            list_files(environment)
            os.sync()  # thousands of files: one sync is what the SD card takes best
            write_atomic(environment / MARKER, f"{environment.name}\n".encode())
            fsync_directory(environment.parent)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise


def mend_venv(environment: Path, lock: Lock, wheels: Path, python: str, damaged: Sequence[str]) -> None:
    """Put the `damaged` files in place again, one by one: it may be in use, and is never worse than before.

    Raises BuildError and StorageError.
    """
    again = environment / _AGAIN
    try:
        with writing(environment):
            shutil.rmtree(again, ignore_errors=True)  # left by a power cut
            if any(not name.startswith("lib") for name in damaged):
                run(python, ["-m", "venv", "--without-pip", str(environment)], f"mend {environment}")
            _install(environment, lock, wheels, again)
            for name in damaged:
                fresh = again / (environment / name).relative_to("/")
                if fresh.is_file():
                    fresh.replace(environment / name)
                elif name.endswith(".pyc") and (environment / name).exists():
                    (environment / name).unlink()  # it is compiled again
            write_atomic(environment / "lock.json", lock.to_json())
            _first_import(environment, lock)
            shutil.rmtree(again)
            os.sync()
            list_files(environment)
    finally:
        shutil.rmtree(again, ignore_errors=True)


def _install(environment: Path, lock: Lock, wheels: Path, into: Path) -> None:
    ours = str(Path(edgeai_runtime.__file__).parents[1])  # a wheel too, where provisioning runs this
    run(
        str(environment / "bin" / "python"),
        [
            "-m",
            "edgeai_runtime.environments.install",
            str(into),
            *(str(wheels / w.filename) for w in lock.wheels),
        ],
        "install the wheels",
        {
            "PYTHONPATH": os.pathsep.join([str(wheels / lock.installer.filename), ours]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )


def _first_import(environment: Path, lock: Lock) -> None:
    """Import once what is used: proves that the wheels run on this machine, and leaves the bytecode needed.

    The one who serves may not be allowed to write here: without it every start would compile anew.
    """
    names = [wheel.filename.split("-")[0].lower() for wheel in lock.wheels]
    modules = [module for name in names for module in _FIRST_IMPORTS.get(name, [])]
    own = [str(path) for path in environment.glob("lib/python3*/site-packages/edgeai_runtime")]
    program = f"import compileall\nfor path in {own!r}: compileall.compile_dir(path, quiet=2)\n"
    program += "".join(f"import {module}\n" for module in modules)
    run(str(environment / "bin" / "python"), ["-c", program], "import what was installed")
