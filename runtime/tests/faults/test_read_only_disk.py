"""A file system that the kernel made read-only: nothing can be changed, and the device serves."""

from __future__ import annotations

import sys
from typing import List

import pytest
from factory import Factory
from small_disk import SmallDisk

RELEASE = ["label-reader", "1.1.0"]
STAGES = [
    ["fetch", *RELEASE],
    ["convert", *RELEASE],
    ["trial", "--release", *RELEASE],
    ["confirm"],
    ["rollback", "--release", "label-reader"],
    ["update", "apply", "--seconds", "0"],
]


def refused(device: Factory, disk: SmallDisk, *words: str) -> None:
    """The command says why it does nothing, and nothing is other than before."""
    before = device.answers()
    disk.remount("ro")
    said = device.edgeai(*words)
    assert said.status == 1
    assert "\n" not in said.error
    assert "Read-only file system" in said.error
    assert device.answers() == before
    disk.remount("rw")
    assert device.half_done() == []


def test_each_stage_is_refused_and_works_when_the_disk_does(on_disk: Factory, disk: SmallDisk) -> None:
    for words in STAGES[:-1]:
        refused(on_disk, disk, *words)
        on_disk.must(*words)
        on_disk.bench.wait_served("1.1.0" if words[0] in ("trial", "confirm") else "1.0.0")


def test_an_update_is_refused(on_disk: Factory, disk: SmallDisk) -> None:
    refused(on_disk, disk, *STAGES[-1])
    assert on_disk.must(*STAGES[-1])["updates"][0]["verdict"] == "confirmed"


def test_an_environment_is_refused(on_disk: Factory, disk: SmallDisk, lock: str) -> None:
    build = ["environment", "build", "--lock-sha256", lock, "--depot", f"file://{on_disk.bundle}"]
    refused(on_disk, disk, *build, "--python", sys.executable)
    on_disk.must(*build, "--python", sys.executable)


@pytest.mark.parametrize(
    "words", [["status"], ["update", "apply", "--check"], ["fetch", *RELEASE, "--check"]]
)
def test_what_only_looks_works(on_disk: Factory, disk: SmallDisk, words: List[str]) -> None:
    disk.remount("ro")
    assert on_disk.edgeai(*words).status == 0


def test_a_keeper_that_starts_on_it_serves_what_is_confirmed(on_disk: Factory, disk: SmallDisk) -> None:
    on_disk.bench.stop()
    disk.remount("ro")
    on_disk.bench.start()
    assert on_disk.answers() == "1.0.0"
    alarms = on_disk.must("status")["alarms"]
    assert any("cannot be written (Read-only file system)" in alarm for alarm in alarms), alarms
    disk.remount("rw")
    on_disk.wait(lambda s: not s["alarms"], "the alarm to end")
