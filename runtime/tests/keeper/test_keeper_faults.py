"""Damaged files, wrong clocks, and a keeper that is killed at each step of a switch."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Dict

import pytest
from keeper_device import Device, serving_processes, wait_for

from edgeai_runtime.durable import append_journal
from edgeai_runtime.errors import KeeperError

COPY = "state.copy.json"


def confirmed_and_off(device: Device) -> None:
    """Generation 1 was confirmed; then the keeper was killed, and its child went."""
    device.write_generation(1)
    device.start()
    device.confirmed(1)
    device.kill()
    wait_for(lambda: not serving_processes(device.paths.root), "the child to go")


def serves_again(device: Device) -> Dict[str, Any]:
    """The status once generation 1 serves, confirmed."""
    device.start()
    status = device.wait_status(lambda s: s["phase"] == "confirmed" and s["child_pid"], "it to serve")
    device.wait_answer(1)
    return status


@pytest.mark.parametrize(
    "content",
    ["", "\0" * 300, '{"schema": 1, "cur', "[]", '{"schema": 1}', '{"schema": 1, "current": "x"}', None],
)
def test_a_damaged_state_is_mended_from_its_copy(device: Device, content: Any) -> None:
    confirmed_and_off(device)
    device.paths.state.unlink()
    if content is not None:
        device.paths.state.write_text(content)
    status = serves_again(device)
    (alarm,) = status["alarms"]
    assert alarm.startswith(str(device.paths.state))
    assert alarm.endswith("its copy is used, look at the disk.")
    assert device.state()["confirmed"] == 1
    assert json.loads((device.paths.var / COPY).read_text()) == device.state()


def test_a_damaged_copy_costs_nothing(device: Device) -> None:
    confirmed_and_off(device)
    (device.paths.var / COPY).write_text("{")
    assert serves_again(device)["alarms"] == []
    assert json.loads((device.paths.var / COPY).read_text()) == device.state()


@pytest.mark.parametrize("damage", [b"\0" * 200, b'{"time": "2026-', b"\0"])
def test_a_torn_line_of_the_journal_is_dropped(device: Device, damage: bytes) -> None:
    confirmed_and_off(device)
    whole = device.journal()
    with open(device.paths.journal, "ab") as file:
        file.write(damage)
    append_journal(device.paths, "collected")
    serves_again(device)
    assert [line["event"] for line in device.journal()[len(whole) :]] == ["collected", "keeper_started"]


def test_a_journal_that_cannot_be_written_is_an_alarm_and_it_serves(device: Device) -> None:
    confirmed_and_off(device)
    device.paths.journal.unlink()
    device.paths.journal.mkdir()
    (alarm,) = serves_again(device)["alarms"]
    assert "cannot be written" in alarm


@pytest.mark.parametrize("damage", ["missing", "dangling", "a file"])
def test_a_damaged_link_to_the_current_generation_is_mended(device: Device, damage: str) -> None:
    confirmed_and_off(device)
    device.paths.current.unlink()
    if damage == "dangling":
        device.paths.current.symlink_to("generations/77")
    if damage == "a file":
        device.paths.current.write_text("")
    serves_again(device)
    assert device.paths.current.resolve() == device.paths.generation(1)


@pytest.mark.parametrize(("seconds", "year"), [(0, "1970"), (4102444800, "2100")])
def test_a_wrong_clock_moves_no_deadline(device: Device, seconds: int, year: str) -> None:
    for generation in (1, 2):
        device.write_generation(generation)
    device.start(first=f"import time; time.time = lambda: {seconds}.5\n")
    device.confirmed(1)
    device.switch(2, deadline_s=300)
    assert 200 < device.status()["trial"]["remaining_s"] <= 300
    device.ask("revert")
    device.switch(2, deadline_s=0.2)
    device.wait_status(lambda s: s["generation"] == 1 and s["phase"] == "confirmed", "the way back")
    assert {line["time"][:4] for line in device.journal()} == {year}


WATCH = """
import os, signal, sys
switching = False
def watch(frame, event, _argument):
    global switching
    if "edgeai_keeper" in frame.f_code.co_filename:
        name = frame.f_code.co_name
        switching = switching or name == "switch"
        if switching and (name, event) == ({step!r}, {when!r}):
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(watch)
"""
STEPS = (
    "switch begin launch start advance ask on_probe taken_over save write_state _replace append_journal part"
)


@pytest.mark.parametrize("when", ["call", "return"])
@pytest.mark.parametrize("step", STEPS.split())
def test_a_keeper_killed_at_any_step_of_a_switch_takes_its_children_along_and_the_next_serves(
    device: Device, step: str, when: str
) -> None:
    device.write_generation(1)
    device.write_generation(2)
    device.start()
    device.confirmed(1)
    assert device.stop() == 0
    device.start(first=WATCH.format(step=step, when=when))
    device.wait_status(lambda s: s["phase"] == "confirmed" and s["child_pid"], "generation 1 to serve")
    with contextlib.suppress(KeeperError):
        device.switch(2)
    assert device.keeper is not None
    wait_for(lambda: device.keeper.poll() is not None, f"the keeper to be killed in {step}")
    wait_for(lambda: not serving_processes(device.paths.root), "its children to go")
    device.start()
    status = device.wait_status(
        lambda s: s["phase"] != "starting" and s["child_pid"], "a generation to serve"
    )
    assert (status["generation"], status["phase"]) in [(1, "confirmed"), (2, "trial")]
    device.wait_answer(status["generation"])
    assert device.paths.current.resolve() == device.paths.generation(status["generation"])
    assert len(serving_processes(device.paths.root)) == 1
    assert not list(device.paths.var.glob("*.new"))
