"""Each peer's own virtual environment: made once for each content of its requirements, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Sequence

REPO = Path(__file__).resolve().parents[1]
LOCK = REPO / "runtime" / "locks" / f"{platform.machine()}-cp311-cpu.txt"
VERSION = "3.11"
# Triton's Python backend links the system's libpython; a Python built by hand may lack what it needs.
SYSTEM_PYTHON = Path(f"/usr/bin/python{VERSION}")


class UnavailableError(Exception):
    """Something cannot be had on this machine; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment. `python`: its interpreter."""

    directory: Path

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    @property
    def packages(self) -> Path:
        return self.directory / "lib" / f"python{VERSION}" / "site-packages"

    def version(self, package: str) -> str:
        """What is installed there."""
        pattern = f"{package.replace('-', '_')}-*.dist-info"
        found = next(iter(sorted(self.packages.glob(pattern))), None)
        return "?" if found is None else found.name[len(package) + 1 : -len(".dist-info")]


def locked(package: str) -> str:
    """The requirement of a package as the device's lock pins it, so that all call the same."""
    pinned = re.search(rf"^{package}==\S+", LOCK.read_text(), re.MULTILINE)
    if pinned is None:
        raise UnavailableError(f"{LOCK} pins no {package}; run `make locks`.")
    return pinned[0]


def environment(requirements: Sequence[str], cache: Path, making: Callable[[], None]) -> Environment:
    """Found in `cache`, or made there out of these lines of a requirements file, once `making` is told.

    Raises UnavailableError.
    """
    key = hashlib.sha256("\n".join([VERSION, *requirements]).encode()).hexdigest()[:16]
    made = Environment(cache / "environments" / key)
    marker = made.directory / ".complete"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second benchmark waits for the first
        if not marker.exists():
            making()
            shutil.rmtree(made.directory, ignore_errors=True)
            _make(made, requirements)
            marker.touch()
    return made


def size_mb(*directories: Path) -> float:
    """What they take on the disk."""
    files = (path for directory in directories for path in directory.rglob("*") if not path.is_symlink())
    return sum(path.stat().st_blocks for path in files) * 512 / 1e6


def _make(made: Environment, requirements: Sequence[str]) -> None:
    # Without pip, as on a device: the sizes are compared. The one that runs us installs.
    _run([str(_python()), "-m", "venv", "--without-pip", str(made.directory)])
    wanted = made.directory / "requirements.txt"
    wanted.write_text("\n".join(requirements) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(made.python), "install", "--quiet"]
    _run([*pip, "--only-binary=:all:", "--requirement", str(wanted)])


def _python() -> Path:
    found: Optional[str] = shutil.which(f"python{VERSION}")
    for candidate in (SYSTEM_PYTHON, Path(found) if found else SYSTEM_PYTHON):
        # A pyenv shim answers to the name and then fails: only one that starts counts.
        if (
            candidate.exists()
            and not subprocess.run([str(candidate), "-c", ""], capture_output=True, check=False).returncode
        ):
            return candidate
    raise UnavailableError(
        f"The peers run on Python {VERSION}, which is not here; install it, on Debian 12 as python{VERSION}."
    )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        errors = [line for line in said if line.startswith("ERROR")] or said[-1:]
        raise UnavailableError(f"{' '.join(command[:4])} … failed: {errors[0]}")
