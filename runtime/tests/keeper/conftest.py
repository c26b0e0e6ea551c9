"""The `device` fixture of the keeper's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from keeper_device import Device


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    device.clean_up()
