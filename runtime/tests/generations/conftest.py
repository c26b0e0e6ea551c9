"""Devices for the tests, copied from a template that is made once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Iterator

import pytest

# The toy releases of the conversion's tests serve here too.
sys.path.append(str(Path(__file__).parents[1] / "convert"))

from bench import ENVIRONMENT, Bench
from toy import DEVICE, build_environment

from edgeai_runtime.convert import convert_release
from edgeai_runtime.generations import confirm


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Bench]:
    """A device with an environment and a keeper, and no generation."""
    bench = Bench(tmp_path)
    build_environment(bench.paths, ENVIRONMENT)
    bench.start()
    yield bench
    bench.stop()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a device: generations 1 (an environment) and 2 (label-reader 1.0.0) were confirmed."""
    bench = Bench(tmp_path_factory.mktemp("template"))
    build_environment(bench.paths, ENVIRONMENT)
    bench.start()
    try:
        bench.trial(environment=ENVIRONMENT)
        confirm(bench.paths)
        bench.put_live(bench.release("1.0.0"))
        convert_release(bench.paths, DEVICE, bench.release("1.1.0"), False, lambda sentence: None)
    finally:
        bench.stop()
    return bench.paths.root


@pytest.fixture
def bench(template: Path, tmp_path: Path) -> Iterator[Bench]:
    """A device that serves label-reader 1.0.0, confirmed, in generation 2; 1.1.0 is converted."""
    root = tmp_path / "device"
    shutil.copytree(template, root, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    device = Bench(root)
    device.start()
    yield device
    device.stop()
