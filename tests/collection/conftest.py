"""The collection as a user gets it: built, installed, and run from a workstation that has nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime
sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))

from small_fleet import BIN, REPO


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """A directory whose name is short: sockets lie below it."""
    directory = Path(tempfile.mkdtemp(prefix="ef-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def tarball(short_directory: Path) -> Path:
    """What `ansible-galaxy collection build` makes."""
    command = [str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(short_directory)]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True)
    (built,) = short_directory.glob("*.tar.gz")
    return built


@pytest.fixture(scope="session")
def installed(short_directory: Path, tarball: Path) -> Path:
    """The directory of the installed collection."""
    into = short_directory / "collections"
    command = [
        str(BIN / "ansible-galaxy"),
        "collection",
        "install",
        "--offline",
        "-p",
        str(into),
        str(tarball),
    ]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(into)}
    subprocess.run(command, cwd=short_directory, env=environment, check=True, capture_output=True)
    return into / "ansible_collections/edgeai/fleet"


@pytest.fixture(scope="session")
def workstation(short_directory: Path, installed: Path) -> Path:
    """A Python with the runtime of the installed collection; what that needs is taken from the test's own."""
    venv = short_directory / "workstation"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin/python"
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--ignore-installed", "--no-build-isolation", str(installed / "runtime")]
    subprocess.run(command, check=True, capture_output=True)
    return python
