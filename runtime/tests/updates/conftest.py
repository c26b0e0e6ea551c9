"""The device on the bench, with a depot of real releases of the toy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

sys.path.extend(str(Path(__file__).parents[1] / beside) for beside in ("bundle", "convert", "generations"))

from bench import device_like, make_device, running
from once import made_once
from plant import Plant


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same device as the tests of generations begin with."""
    return made_once(tmp_path_factory, "device", make_device)


@pytest.fixture
def plant(template: Path, tmp_path: Path) -> Iterator[Any]:
    with running(device_like(template, tmp_path / "device")) as bench:
        yield Plant(tmp_path, bench)
