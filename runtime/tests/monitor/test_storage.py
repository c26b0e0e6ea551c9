from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

import pytest
from machines import make

from edgeai_runtime.monitor.storage import storage

CARD = "sys/devices/platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:0001"


def flash(root: Path, life_time: str, pre_eol: str) -> Path:
    """`root`, where the disk that it lies on is the second part of an eMMC."""
    part = f"{CARD}/block/mmcblk0/mmcblk0p2"
    files = {f"{CARD}/life_time": life_time, f"{CARD}/pre_eol_info": pre_eol, f"{part}/partition": "2"}
    make(root, files)
    device = root.stat().st_dev
    (root / CARD / "block/mmcblk0/device").symlink_to(root / CARD)
    (root / "sys/dev/block").mkdir(parents=True)
    (root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}").symlink_to(root / part)
    return root


@pytest.mark.parametrize(
    ("life_time", "pre_eol", "wear", "reserve"),
    [
        ("0x01 0x01", "0x01", 10, 0),
        ("0x02 0x09", "0x02", 90, 80),
        ("0x0b 0x01", "0x03", 110, 90),
        ("0x00 0x00", "0x00", None, None),  # not defined
        ("", "", None, None),
    ],
)
def test_an_emmc_tells_how_worn_it_is(
    tmp_path: Path, life_time: str, pre_eol: str, wear: Any, reserve: Any
) -> None:
    root = flash(tmp_path, life_time, pre_eol)
    told = storage(root, root)
    assert (told["wear_percent"], told["reserve_used_percent"]) == (wear, reserve)


def test_a_disk_tells_how_much_room_it_has(tmp_path: Path) -> None:
    told: Dict[str, Any] = storage(tmp_path, tmp_path)
    assert 0 < told["disk_free_mb"] < told["disk_total_mb"]
    assert 0 <= told["disk_used_percent"] <= 100
    assert told["wear_percent"] is None


def test_a_directory_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    assert set(storage(tmp_path / "gone", tmp_path).values()) == {None}
