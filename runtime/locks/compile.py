"""Make the locks anew: `python locks/compile.py`, or `make locks`. Needs uv and a package index.

One lock per target from requirements.in, one for each machine a controller may be from controller.in, and
two that fit every target: supervisor.txt and installer.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edgeai_runtime.bundle.targets import MANYLINUX

HERE = Path(__file__).resolve().parent
ARCHITECTURES = ("x86_64", "aarch64")
PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
CONTROLLER_PYTHONS = ("3.11", "3.12", "3.13")  # those that ansible-core of controller.in runs on


def compile_lock(source: str, lock: str, *options: str) -> None:
    """Resolve `source` into `lock` with the hash of every file; the old lock does not bias the new one."""
    command = ["uv", "pip", "compile", "--no-config", "--quiet", "--upgrade", "--generate-hashes"]
    command += ["--only-binary", ":all:", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--custom-compile-command", "make locks", "--output-file", lock, *options, source]
    # Wheels lying about on this machine must not find their way into a lock.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_FIND_LINKS"))}
    subprocess.run(command, cwd=HERE, env=environment, check=True)


def main() -> int:
    for architecture in ARCHITECTURES:
        platform = ("--python-platform", f"{architecture}-{MANYLINUX[0]}")
        for python in PYTHONS:
            lock = f"{architecture}-cp{python.replace('.', '')}-cpu.txt"
            compile_lock("requirements.in", lock, *platform, "--python-version", python)
            print(lock)
        for python in CONTROLLER_PYTHONS:
            lock = f"controller-{architecture}-cp{python.replace('.', '')}.txt"
            compile_lock("controller.in", lock, *platform, "--python-version", python)
            print(lock)
    for name in ("supervisor", "installer"):
        compile_lock(f"{name}.in", f"{name}.txt", "--universal", "--python-version", "3.8")
        print(f"{name}.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
