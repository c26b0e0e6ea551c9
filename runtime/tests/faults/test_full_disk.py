"""A disk that gets full at any moment of an update: one sentence, and what serves goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import List

import pytest
from bench import wait_for
from factory import Factory
from small_disk import SmallDisk

from edgeai_runtime.convert import convert
from edgeai_runtime.convert.wanted import Wanted
from edgeai_runtime.environments import build
from edgeai_runtime.trust import fetching


def walk(device: Factory, disk: SmallDisk, step_kib: int, *words: str) -> None:
    """Run a command with 0 KiB left, then with one step more and so on, until it has room.

    Each time it is refused in one sentence that says what to do, leaves nothing half-done, and what serves
    goes on. What the last one left is no obstacle to the next.
    """
    before = device.answers()
    refused: List[str] = []
    for kib in range(0, 10_000, step_kib):
        disk.leave(kib)
        said = device.edgeai(*words)
        if said.status == 0:
            break
        assert said.status == 1
        assert "\n" not in said.error
        assert "make room" in said.error
        refused.append(said.error)
        assert device.half_done() == []
        # One that was switched to and taken back takes a last connection while it drains.
        wait_for(lambda: device.answers() == before, f"{before} to answer")
    disk.make_room()
    assert refused, "the disk was never full"


@pytest.fixture
def filled_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else fills the disk just after a command saw that there is room."""
    for module in (fetching, build):
        monkeypatch.setattr(module, "need_space", lambda *_: None)
    need_space = convert._need_space

    def only_afterwards(wanted: Wanted, copies: int) -> None:
        if copies > convert.CONVERSION_COPIES:
            need_space(wanted, copies)

    monkeypatch.setattr(convert, "_need_space", only_afterwards)


@pytest.mark.parametrize("words", [["fetch", "label-reader", "1.1.0"], ["convert", "label-reader", "1.0.0"]])
def test_how_much_is_needed_is_said_before(on_disk: Factory, disk: SmallDisk, words: List[str]) -> None:
    for kept in on_disk.paths.conversions.iterdir():
        kept.unlink()
    disk.leave(40)
    assert re.search(
        r"needs \d+\.\d MB \(.* to convert it\) and .* MB are free; make room", on_disk.edgeai(*words).error
    )


def test_fetch(on_disk: Factory, disk: SmallDisk, filled_meanwhile: None) -> None:
    disk.leave(0)
    assert on_disk.edgeai("fetch", "label-reader", "1.1.0").status == 1  # what it heard of the depot is kept
    walk(on_disk, disk, 4, "fetch", "label-reader", "1.1.0")


def test_convert(on_disk: Factory, disk: SmallDisk, filled_meanwhile: None) -> None:
    on_disk.must("fetch", "label-reader", "1.1.0")
    walk(on_disk, disk, 16, "convert", "label-reader", "1.1.0")


def test_an_environment(on_disk: Factory, disk: SmallDisk, lock: str, filled_meanwhile: None) -> None:
    build = ["environment", "build", "--lock-sha256", lock, "--depot", f"file://{on_disk.bundle}"]
    walk(on_disk, disk, 90, *build, "--python", sys.executable)


def test_trial_confirm_rollback(on_disk: Factory, disk: SmallDisk) -> None:
    device = on_disk
    device.must("fetch", "label-reader", "1.1.0")
    device.must("convert", "label-reader", "1.1.0")
    walk(device, disk, 4, "trial", "--release", "label-reader", "1.1.0")
    device.bench.wait_served("1.1.0")
    walk(device, disk, 4, "confirm")
    assert device.answers() == "1.1.0"
    walk(device, disk, 4, "rollback", "--release", "label-reader")
    device.bench.wait_served("1.0.0")


def test_the_keeper_goes_on_and_catches_up_when_there_is_room(on_disk: Factory, disk: SmallDisk) -> None:
    disk.leave(0)
    pid = on_disk.bench.status()["child_pid"]
    os.kill(pid, signal.SIGKILL)
    status = on_disk.wait(lambda s: s["phase"] == "confirmed" and s["child_pid"] != pid, "a new process")
    assert any("cannot be written (No space left on device)" in alarm for alarm in status["alarms"])
    assert on_disk.answers() == "1.0.0"
    disk.make_room()
    on_disk.wait(lambda s: not any("cannot be written" in alarm for alarm in s["alarms"]), "the alarm to end")
    assert {"storage_mended", "alarm_cleared"} <= {line["event"] for line in on_disk.bench.journal()}


def test_a_keeper_that_starts_on_a_full_disk_serves(on_disk: Factory, disk: SmallDisk) -> None:
    on_disk.bench.stop()
    disk.leave(0)
    on_disk.bench.start()
    assert on_disk.answers() == "1.0.0"
    alarms = on_disk.must("status")["alarms"]
    assert any("cannot be written (No space left on device)" in alarm for alarm in alarms), alarms


def test_a_trial_ends_in_time_on_a_full_disk(on_disk: Factory, disk: SmallDisk) -> None:
    on_disk.must("fetch", "label-reader", "1.1.0")
    on_disk.must("trial", "--release", "label-reader", "1.1.0", "--deadline", "2")
    disk.leave(0)
    on_disk.bench.wait_confirmed(2)
    on_disk.bench.wait_served("1.0.0")
    disk.make_room()
    on_disk.wait(lambda s: not s["alarms"], "the alarm to end")
    state = json.loads(on_disk.paths.state.read_bytes())
    assert (state["current"], state["trial"]) == (2, None)
    assert state["last_reverted"]["generation"] == 3
