"""Finds the interpreters that tests run on."""

from __future__ import annotations

import shutil
import subprocess
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
