"""Finds the interpreters that tests run on, and makes environments of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional


def find_python(version: str) -> Optional[str]:
    """A `pythonX.Y` on PATH that can make environments, else one that pyenv keeps."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    for candidate in [shutil.which(f"python{version}"), *map(str, reversed(kept))]:
        # A pyenv shim answers to the name and then fails: only one that starts counts.
        if (
            candidate
            and not subprocess.run(
                [candidate, "-c", "import ensurepip"], capture_output=True, check=False
            ).returncode
        ):
            return candidate
    return None


def ready_environment(venv: Path, python: str, *installs: list[str], wanted: str) -> Path:
    """The interpreter of a venv with what these `pip install` lines put there; made once a `wanted`."""
    marker, interpreter = venv / ".complete", venv / "bin" / "python"
    if not (marker.exists() and marker.read_text() == wanted):
        print(f"Setting up {venv.name} with {python} …", flush=True)
        make = [python, "-m", "venv", "--clear", str(venv)]
        # The pip that runs this is twice as quick as the one most Pythons bring, and knows only newer ones.
        pip = [sys.executable, "-m", "pip", "--python", str(interpreter)]
        subprocess.run([*make, "--without-pip"], check=True)
        if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
            subprocess.run(make, check=True)
            pip = [str(interpreter), "-m", "pip"]
        for arguments in installs:
            subprocess.run([*pip, "install", "--quiet", "--no-compile", *arguments], check=True)
        marker.write_text(wanted)
    return interpreter
