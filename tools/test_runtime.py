"""Run the runtime's tests on every Python found among those that devices bring."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from pythons import find_python

REPO = Path(__file__).resolve().parent.parent
# Left out unless --all is given: what a disk or a bad runtime does to a device it does whatever the Python,
# and between the oldest and the one most devices have there is nothing new to whole devices, whose tests take
# minutes.
FAULTS = ("tests/faults", "tests/generations/test_bad_runtimes.py")
LEFT_OUT = {
    "3.8": FAULTS,
    "3.10": (*FAULTS, "tests/generations", "tests/keeper", "tests/updates"),
    "3.11": (),
    "3.13": FAULTS,
}
VERSIONS = tuple(LEFT_OUT)  # JetPack 5; JetPack 6, Ubuntu 22.04; Debian 12; Debian 13


def ready_environment(version: str, python: str) -> Path:
    """A venv with the target's locked wheels and pytest; made once for each content of the lock."""
    lock = REPO / f"runtime/locks/{platform.machine()}-cp{version.replace('.', '')}-cpu.txt"
    venv = REPO / ".venvs" / version
    marker = venv / ".complete"
    beside = REPO / "runtime/tests/requirements.txt"
    wanted = "".join(path.read_text() for path in (lock, beside, REPO / "runtime/pyproject.toml"))
    if not (marker.exists() and marker.read_text() == wanted):
        print(f"Setting up Python {version} with {lock.name} …", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(lock)], check=True)
        subprocess.run([*pip, "-r", str(beside)], check=True)
        subprocess.run([*pip, "--no-deps", "--editable", str(REPO / "runtime")], check=True)
        marker.write_text(wanted)
    return venv


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    everything = "--all" in sys.argv
    skipped, failed = [], []
    for version in VERSIONS:
        python = find_python(version)
        if python is None:
            skipped.append(version)
            continue
        venv = ready_environment(version, python)
        print(f"== runtime tests on Python {version}", flush=True)
        result = subprocess.run(
            [
                str(venv / "bin/python"),
                "-m",
                "pytest",
                "--numprocesses",
                str(2 * (os.cpu_count() or 1)),  # half of the time they wait for keepers and servers
                *(f"--ignore={path}" for path in (() if everything else LEFT_OUT[version])),
                *arguments,
            ],
            cwd=REPO / "runtime",
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
        )
        if result.returncode:
            failed.append(version)
    if skipped:
        print(f"Not tested, since there is no such Python here: {', '.join(skipped)}.")
    if failed:
        print(f"Failed on Python {', '.join(failed)}.")
    return 1 if failed or len(skipped) == len(VERSIONS) else 0


if __name__ == "__main__":
    sys.exit(main())
