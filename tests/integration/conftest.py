"""What the tests share: one provisioned fleet of two devices with a first release on them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime

from small_fleet import Fleet
from toy_releases import model_reading_greys, write_release


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """A directory whose name is short: sockets lie below it."""
    directory = Path(tempfile.mkdtemp(prefix="ef-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def bundle(short_directory: Path) -> Path:
    """A bundle of good and bad releases, made by the playbook."""
    parent = short_directory / "releases"
    parent.mkdir()
    whole = model_reading_greys("reader 1.3.0")
    releases = [
        write_release(parent, "1.0.0"),
        write_release(parent, "1.1.0"),
        write_release(parent, "1.2.0", classes=["jetson"]),
        write_release(parent, "1.3.0", model=whole[: len(whole) // 2]),
        write_release(parent, "1.0.0", name="finder"),
        write_release(parent, "1.1.0", name="finder"),
    ]
    directory = short_directory / "bundle"
    Fleet(short_directory, directory).succeed("bundle", bundle_releases=[str(path) for path in releases])
    return directory


@pytest.fixture(scope="session")
def fleet(short_directory: Path, bundle: Path) -> Iterator[Fleet]:
    """Two devices on two lines, `pi` the canary, both serving reader 1.0.0."""
    fleet = Fleet(short_directory, bundle)
    fleet.add("pi", runtime_class="raspberry_pi", runtime_line="line-1")
    fleet.add("pc", runtime_class="industrial_pc", runtime_line="line-2")
    try:
        fleet.succeed("depot")
        fleet.succeed("provision")
        fleet.succeed("rollout", release_name="reader", release_version="1.0.0")
        yield fleet
    finally:
        fleet.clean_up()
