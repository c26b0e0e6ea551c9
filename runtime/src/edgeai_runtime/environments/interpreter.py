"""The device's Python: what it is, whether a lock fits it, and running it."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import List, Mapping, Optional, Tuple

from edgeai_runtime.environments.lock import Lock
from edgeai_runtime.errors import BuildError

# `import venv` too: some distributions pack it apart. os.confstr says "glibc 2.36".
_PROBE = """
import os, platform, sys, venv
libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
print("%d.%d" % sys.version_info[:2], platform.machine(), (libc or "none 0").split()[1])
"""


def check_fits(lock: Lock, python: str) -> None:
    """Refuse a lock made for another Python, architecture or a newer glibc; raises BuildError."""
    version, machine, glibc = run(python, ["-c", _PROBE], "import the module venv").split()
    if lock.python.startswith(">="):
        right = _numbers(version) >= _numbers(lock.python[2:])
    else:
        right = version == lock.python
    if not right:
        raise BuildError(
            f"{python} is Python {version}, the lock {lock.name} is for {lock.python}; "
            f"name another Python or build the bundle with a target for {version}."
        )
    if lock.architecture not in ("", machine):
        raise BuildError(
            f"This device is {machine}, the lock {lock.name} is for {lock.architecture}; "
            f"build the bundle with a target for {machine}."
        )
    if lock.glibc and _numbers(glibc) < _numbers(lock.glibc):
        raise BuildError(
            f"This device has glibc {glibc}, the lock {lock.name} needs at least {lock.glibc}; "
            "install a newer system on the device."
        )


def run(python: str, arguments: List[str], purpose: str, extra: Optional[Mapping[str, str]] = None) -> str:
    """Run `python` with `arguments` and return what it prints; `extra` adds environment variables.

    The caller's own PIP_… and PYTHON… variables are left out. Raises BuildError saying that it could
    not do `purpose`, with the last line of what it said; OSError when the disk was too full for it.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    environment["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        result = subprocess.run(
            [python, *arguments],
            env={**environment, **(extra or {})},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BuildError(
            f"{python}: cannot be started ({error.strerror}); "
            "name the device's Python, e.g. /usr/bin/python3."
        ) from None
    if result.returncode:
        lines = [line.strip() for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit status {result.returncode}"
        if os.strerror(errno.ENOSPC) in said:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise BuildError(
            f"{python} could not {purpose} ({said}); "
            "nothing was changed, correct that and run the command again."
        )
    return result.stdout


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
