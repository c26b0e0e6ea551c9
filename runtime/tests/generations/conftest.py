"""Devices for the tests, copied from a template that is made once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator

import pytest

# The toy releases of the conversion's tests serve here too.
sys.path.append(str(Path(__file__).parents[1] / "convert"))

from bench import Bench, device_like, make_device, provisioned, running
from once import made_once


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Bench]:
    """A device with an environment and a keeper, and no generation."""
    with running(provisioned(tmp_path)) as bench:
        yield bench


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a device: generations 1 (an environment) and 2 (label-reader 1.0.0) were confirmed."""
    return made_once(tmp_path_factory, "device", make_device)


@pytest.fixture
def bench(template: Path, tmp_path: Path) -> Iterator[Bench]:
    """A device that serves label-reader 1.0.0, confirmed, in generation 2; 1.1.0 is converted."""
    with running(device_like(template, tmp_path / "device")) as bench:
        yield bench
