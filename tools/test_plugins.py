"""Run the plugins' tests on the oldest and on the newest ansible-core that is supported.

Where neither's Python is found, on the one that .venv has, which demo and integration tests use anyway.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pythons import find_python, ready_environment

REPO = Path(__file__).resolve().parent.parent
CONTROLLERS = (("2.17", "3.11"), ("2.21", "3.13"))  # ansible-core, and a Python it runs on
TESTS = ("pytest==9.2.0", "pytest-xdist")


def environment(release: str, version: str, python: str) -> Path:
    """The Python of a venv with this ansible-core and pytest."""
    packages = [f"ansible-core~={release}.0", *TESTS]
    return ready_environment(
        REPO / ".venvs" / f"ansible-{release}", python, packages, wanted=" ".join([*packages, version])
    )


def main() -> int:
    pythons, skipped, failed = {}, [], []
    for release, version in CONTROLLERS:
        python = find_python(version)
        if python is None:
            skipped.append(f"ansible-core {release} (needs Python {version})")
        else:
            pythons[f"ansible-core {release}"] = environment(release, version, python)
    if not pythons:
        pythons["the ansible-core of .venv"] = Path(sys.executable)
    for name, interpreter in pythons.items():
        print(f"== plugins' tests on {name}", flush=True)
        command = [str(interpreter), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["--numprocesses", "auto", "tests/unit", *sys.argv[1:]]
        if subprocess.run(command, cwd=REPO, check=False).returncode:
            failed.append(name)
    if skipped:
        print(f"Not tested, since there is no such Python here: {', '.join(skipped)}.")
    if failed:
        print(f"Failed on {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
