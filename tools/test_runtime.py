"""Run the runtime's tests on every Python found among those that devices bring.

    tools/test_runtime.py [PYTEST'S OPTION…]           on each what is to be shown on it
    tools/test_runtime.py --all [PYTEST'S ARGUMENT…]   everything, or what is named, on each

Where none of those is found, on the Python that .venv has.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from pythons import find_python, ready_environment

REPO = Path(__file__).resolve().parent.parent
# The oldest Python and the one that most devices have show what there is; the others, what meets other wheels
# or another system: unless --all is given.
WHEELS = ("tests/backends", "tests/convert", "tests/environments", "tests/gates", "tests/serving")
# A workstation and a controller have 3.11 or newer. What a disk or a bad runtime does to a device it does
# whatever the Python. A search goes the same way on each; what it tries is tried in test_any_model.py.
WORKSTATION = ("tests/authoring", "tests/bundle")
FAULTS = ("tests/faults", "tests/generations/test_bad_runtimes.py")
SEARCH = ("tests/convert/test_search.py",)


def without(*paths: str) -> tuple[str, ...]:
    """What has pytest leave these out."""
    return tuple(f"--ignore={path}" for path in paths)


PARTS = {
    "3.8": without(*WORKSTATION, *FAULTS),
    "3.10": (*WHEELS, "tests/server/test_process.py", "tests/server/test_v2.py", *without(*SEARCH)),
    "3.11": (),
    # The keeper runs on the system's Python.
    "3.13": (*WHEELS, "tests/server", "tests/keeper", *without(*SEARCH)),
}
VERSIONS = tuple(PARTS)  # JetPack 5; JetPack 6, Ubuntu 22.04; Debian 12; Debian 13


def environment(version: str, python: str) -> Path:
    """The Python of a venv with the target's locked wheels, pytest and the runtime as it stands here."""
    lock = REPO / f"runtime/locks/{platform.machine()}-cp{version.replace('.', '')}-cpu.txt"
    beside = REPO / "runtime/tests/requirements.txt"
    return ready_environment(
        REPO / ".venvs" / version,
        python,
        ["--no-deps", "--require-hashes", "-r", str(lock)],
        ["-r", str(beside)],
        ["--no-deps", "--editable", str(REPO / "runtime")],
        wanted="".join(path.read_text() for path in (lock, beside, REPO / "runtime/pyproject.toml")),
    )


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    everything = "--all" in sys.argv
    pythons = {version: find_python(version) for version in VERSIONS}
    skipped = [version for version, python in pythons.items() if python is None]
    found = {version: python for version, python in pythons.items() if python is not None}
    failed = []
    for version, python in (found or {".".join(platform.python_version_tuple()[:2]): sys.executable}).items():
        interpreter = environment(version, python)
        print(f"== runtime tests on Python {version}", flush=True)
        result = subprocess.run(
            [
                str(interpreter),
                "-m",
                "pytest",
                "-rs",  # what was not run says why, such as tests/gpu where no GPU is
                "--numprocesses",
                str(2 * (os.cpu_count() or 1)),  # half of the time they wait for keepers and servers
                "--dist=worksteal",  # some tests take seconds: nobody is left with them at the end
                *(() if everything else PARTS.get(version, ())),
                *arguments,
            ],
            cwd=REPO / "runtime",
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
            check=False,
        )
        if result.returncode:
            failed.append(version)
    if skipped:
        print(f"Not tested, since there is no such Python here: {', '.join(skipped)}.")
    if failed:
        print(f"Failed on Python {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
