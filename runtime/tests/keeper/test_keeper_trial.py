"""On trial: what takes a generation back, also across a restart of the keeper."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import time
from typing import Any, Dict

import pytest
from keeper_device import Device, serving_processes, wait_for

from edgeai_runtime.errors import KeeperError


def prepare(device: Device, mode: Dict[str, Any], **timing: float) -> None:
    """Generation 1 is confirmed; 2, of this mode, waits."""
    device.write_generation(1)
    device.write_generation(2, **mode)
    device.start(**timing)
    device.confirmed(1)


def wait_reverted(device: Device) -> Dict[str, Any]:
    """Wait until generation 1 serves again; generation 2's last_reverted entry."""
    status = device.wait_status(lambda s: s["last_reverted"] and s["phase"] == "confirmed", "the way back")
    assert (status["generation"], status["confirmed"], status["trial"]) == (1, 1, None)
    device.wait_answer(1)
    assert device.paths.current.resolve() == device.paths.generation(1)
    assert status["last_reverted"]["generation"] == 2
    last = status["history"][-1]
    assert (last["generation"], last["outcome"]) == (2, "reverted")
    assert [line["reason"] for line in device.journal() if line["event"] == "reverted"] == [last["reason"]]
    wait_for(lambda: len(serving_processes(device.paths.root)) == 1, "the bad process to be gone")
    return dict(status["last_reverted"])


def ask_until_lost(device: Device) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            device.infer()


def test_a_trial_nobody_confirms_ends_at_its_deadline_and_loses_no_request(device: Device) -> None:
    prepare(device, {"slow_s": 0.003})
    with device.load() as load:
        device.switch(2, deadline_s=0.5)
        load.wait_answers(1, 2)
        assert wait_reverted(device)["reason"] == "it was not confirmed within 0.5 s"
    assert load.lost == []


def test_too_many_errors_take_a_generation_back(device: Device) -> None:
    prepare(device, {"error_every": 4})
    device.switch(2, soak={"max_error_rate": 0.1, "min_requests": 20})
    with device.load() as load:
        reason = wait_reverted(device)["reason"]
    assert load.lost == []
    assert re.fullmatch(r"\d+ of \d+ requests failed \(\d+\.\d %, allowed 10\.0 %\)", reason)


@pytest.mark.parametrize("soak", [{"max_error_rate": 0.2, "min_requests": 20}, {"min_requests": 1000}])
def test_few_errors_are_allowed_and_few_requests_are_not_judged(
    device: Device, soak: Dict[str, float]
) -> None:
    prepare(device, {"error_every": 10})
    device.switch(2, soak=soak)
    for _turn in range(30):
        device.wait_answer(2)
    status = device.wait_status(lambda s: s["trial"]["requests"] >= 30, "all requests to be counted")
    assert (status["phase"], status["trial"]["errors"]) == ("trial", 3)


def test_a_generation_whose_process_dies_three_times_is_taken_back(device: Device) -> None:
    prepare(device, {"crash_after": 2})
    device.switch(2)
    for death in range(3):
        device.wait_status(lambda s: s["phase"] == "trial" and s["child_pid"], f"start {death + 1}")
        ask_until_lost(device)
        device.wait_status(
            lambda s, past=death: s["restarts"] > past or s["last_reverted"], "its end to be noticed"
        )
    reason = wait_reverted(device)["reason"]
    assert reason == "it was started 3 times and did not stay up, last: its process ended (exit code 3)"


def test_the_requests_of_dead_processes_count_for_the_trial(device: Device) -> None:
    prepare(device, {"error_every": 2})
    device.switch(2, soak={"max_error_rate": 0.4, "min_requests": 20})
    wait_for(lambda: len(serving_processes(device.paths.root)) == 1, "generation 1 to take its last request")
    for _turn in range(10):
        device.infer()
    status = device.wait_status(lambda s: s["trial"]["requests"] == 10, "ten requests")
    os.kill(status["child_pid"], signal.SIGKILL)
    device.wait_status(lambda s: s["restarts"] == 1 and s["phase"] == "trial", "a new process")
    with device.load():
        wait_reverted(device)


def test_a_generation_that_never_sends_a_heartbeat_is_taken_back(device: Device) -> None:
    prepare(device, {"no_heartbeat": True}, heartbeat=1.5)
    device.switch(2)
    assert wait_reverted(device)["reason"] == "no heartbeat for 1.5 s"


def test_a_generation_that_hangs_in_a_request_is_killed_and_taken_back(device: Device) -> None:
    prepare(device, {"hang_after": 3}, heartbeat=1.5)
    device.switch(2)
    ask_until_lost(device)
    assert wait_reverted(device)["reason"] == "no heartbeat for 1.5 s"


def test_revert_takes_a_trial_back_and_answers_when_it_is_done(device: Device) -> None:
    prepare(device, {})
    device.switch(2)
    device.ask("revert", reason="the camera sees less")
    device.wait_answer(1)
    assert wait_reverted(device)["reason"] == "the camera sees less"
    assert [line["actor"] for line in device.journal() if line["event"] == "reverted"] == ["test"]


def test_revert_works_while_the_generation_on_trial_hangs(device: Device) -> None:
    prepare(device, {}, heartbeat=60.0, drain=0.3)
    device.switch(2)
    os.kill(device.status()["child_pid"], signal.SIGSTOP)
    device.ask("revert", reason="it hangs")
    assert wait_reverted(device)["reason"] == "it hangs"


def test_a_first_generation_on_trial_goes_back_to_idle(device: Device) -> None:
    device.write_generation(1)
    device.start()
    device.switch(1, deadline_s=0.3)
    status = device.wait_status(lambda s: s["phase"] == "idle", "the trial to end")
    assert (status["generation"], status["last_reverted"]["generation"]) == (None, 1)
    assert not device.paths.current.is_symlink()
    wait_for(lambda: not serving_processes(device.paths.root), "the process to be gone")
    device.wait_refused()


def test_a_trial_goes_on_when_the_keeper_is_killed(device: Device) -> None:
    prepare(device, {})
    device.switch(2, deadline_s=300)
    device.kill()
    device.start()
    status = device.wait_status(lambda s: s["phase"] == "trial" and s["child_pid"], "generation 2 to serve")
    device.wait_answer(2)
    assert 200 < status["trial"]["remaining_s"] < 300
    assert device.state()["trial"]["attempts"] == 2
    assert len(serving_processes(device.paths.root)) == 1
    device.ask("confirm", generation=2)


def test_what_the_child_of_a_killed_keeper_had_accepted_is_answered_before_the_next_starts(
    device: Device,
) -> None:
    prepare(device, {"slow_s": 1.0})
    device.switch(2, deadline_s=300)
    device.wait_answer(2)
    connection = device.connect()
    connection.request("POST", "/v2/models/m/infer", body=b"x")
    device.wait_status(lambda s: s["serving"]["in_flight"] == 1, "the request to be accepted")
    device.kill()
    device.start()
    assert connection.getresponse().status == 200
    connection.close()
    device.wait_status(lambda s: s["phase"] == "trial" and s["child_pid"], "generation 2 to serve")
    assert [line for line in device.journal() if line["event"] == "child_ended"] == []


def test_a_port_that_is_taken_costs_a_trial_no_attempt(device: Device) -> None:
    prepare(device, {})
    device.switch(2, deadline_s=300)
    device.stop()
    host, port = device.http.split(":")
    with socket.create_server((host, int(port))):
        device.start(backoff_first=0.01)
        wait_for(lambda: device.log.read_text().count("cannot be listened on") > 4, "some tries")
    status = device.wait_status(lambda s: s["phase"] == "trial" and s["child_pid"], "generation 2 to serve")
    assert status["last_reverted"] is None
    assert device.state()["trial"]["attempts"] == 2


def test_a_keeper_killed_in_the_middle_of_a_trial_three_times_falls_back(device: Device) -> None:
    prepare(device, {})
    device.switch(2, deadline_s=300)
    for _turn in range(2):
        device.kill()
        device.start()
        device.wait_status(lambda s: s["phase"] == "trial" and s["child_pid"], "generation 2 to serve")
    device.kill()
    device.start()
    reason = wait_reverted(device)["reason"]
    assert reason == "it was started 3 times and did not stay up, last: the keeper itself was stopped"


def test_a_deadline_that_passed_without_a_keeper_counts(device: Device) -> None:
    prepare(device, {})
    device.switch(2, deadline_s=4)  # time enough to kill the keeper within it
    device.kill()
    wait_for(lambda: not serving_processes(device.paths.root), "the orphan to drain")
    started = device.state()["trial"]["started"]
    wait_for(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > started + 4, "the deadline")
    device.start()
    assert wait_reverted(device)["reason"] == "it was not confirmed within 4 s"


def test_after_a_reboot_a_trial_gets_a_new_window_and_loses_an_attempt(device: Device) -> None:
    prepare(device, {})
    device.switch(2, deadline_s=100)
    device.stop()
    state = device.state()
    state["trial"].update(boot_id="another boot", started=0.0)
    device.paths.state.write_text(json.dumps(state))
    device.start()
    status = device.wait_status(lambda s: s["phase"] == "trial", "generation 2 to serve")
    assert status["trial"]["remaining_s"] > 60
    assert device.state()["trial"]["attempts"] == 2


def test_a_fallback_that_does_not_start_is_an_alarm_and_is_tried_again(device: Device) -> None:
    prepare(device, {})
    device.switch(2)
    device.write_generation(1, fail="its model is gone")
    with pytest.raises(KeeperError, match="its model is gone; generation 2 still serves"):
        device.ask("revert", reason="worse")
    status = device.wait_status(lambda s: s["alarms"], "the alarm")
    assert "generation 1 failed" in status["alarms"][0]
    device.wait_answer(2)
    device.write_generation(1)
    wait_reverted(device)


def test_a_trial_must_end_before_the_next_switch(device: Device) -> None:
    prepare(device, {})
    device.write_generation(3)
    device.switch(2)
    with pytest.raises(KeeperError, match="generation 2 is on trial; confirm or revert it first"):
        device.switch(3)
