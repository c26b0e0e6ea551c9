"""The runtime's own wheel, built from its sources: equal sources give equal bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, List

from edgeai_runtime.errors import InputError
from edgeai_runtime.release import file_sha256

# The time of every file in the wheel: where zip's calendar starts.
EPOCH = "315532800"
PACKAGES = ("edgeai_keeper", "edgeai_runtime")


def build_runtime_wheel(runtime_dir: Path, cache: Path, progress: Callable[[str], None]) -> Path:
    """The wheel of the runtime in `runtime_dir`, built once for each content of its sources.

    Needs pip and setuptools beside this Python, no network. Raises InputError.
    """
    if not (runtime_dir / "pyproject.toml").is_file():
        raise InputError(f"{runtime_dir}: there is no runtime here; name the collection's runtime directory.")
    sources = _sources(runtime_dir)
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(runtime_dir)}\0{file_sha256(path)}\n".encode())
    kept = cache / digest.hexdigest()
    if not list(kept.glob("*.whl")):
        progress("building the runtime's wheel")
        _build(runtime_dir, sources, kept)
    return next(kept.glob("*.whl"))


def _sources(runtime_dir: Path) -> List[Path]:
    """What the wheel is made of, in a fixed order."""
    found = [path for name in PACKAGES for path in (runtime_dir / "src" / name).rglob("*")]
    files = sorted(path for path in found if path.is_file() and path.suffix != ".pyc")
    return [runtime_dir / name for name in ("pyproject.toml", "README.md", "LICENSE")] + files


def _build(runtime_dir: Path, sources: List[Path], kept: Path) -> None:
    """Build in a copy: building beside the sources would leave build/ and egg-info there."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=str(kept.parent)) as directory:
        project = Path(directory, "project")
        for path in sources:
            copy = project / path.relative_to(runtime_dir)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o644)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-build-isolation", "--no-index"]
        command += ["--wheel-dir", str(Path(directory, "wheel")), str(project)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            said = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(
                f"{runtime_dir}: the runtime's wheel could not be built ({said}); "
                "install the package's extra 'workstation' and try again."
            )
        Path(directory, "wheel").replace(kept)
