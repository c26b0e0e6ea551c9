"""Taking over: new beside old on one listening socket."""

from __future__ import annotations

import json
import os
import threading
from typing import Any, Dict

import pytest
from keeper_device import Device, serving_processes, wait_for

from edgeai_runtime.errors import KeeperError


def test_a_device_without_generations_is_idle_and_refuses_connections(device: Device) -> None:
    status = device.start()
    assert (status["phase"], status["generation"], status["serving"]) == ("idle", None, None)
    device.wait_refused()


def test_the_first_generation_serves_and_is_on_trial(device: Device) -> None:
    device.write_generation(1)
    device.start()
    answer = device.switch(1)
    assert answer["switch_ms"] > 0
    device.wait_answer(1)
    status = device.status()
    assert status["phase"] == "trial"
    assert status["trial"]["fallback"] is None
    assert 590 < status["trial"]["remaining_s"] <= 600
    assert device.paths.current.resolve() == device.paths.generation(1)
    device.wait_status(lambda s: s["serving"] and s["serving"]["requests"] == 1, "the request to be counted")


def test_the_child_gets_no_telemetry_and_no_systemd_variables(device: Device) -> None:
    device.write_generation(1)
    device.start({"NOTIFY_SOCKET": "@nobody-listens"})
    device.switch(1)
    seen = json.loads((device.paths.tuning.parent / "seen.json").read_text())
    assert seen == {"ORT_DISABLE_TELEMETRY": "1", "NOTIFY_SOCKET": None}


def test_a_switch_under_load_loses_no_request(device: Device) -> None:
    for number in range(1, 6):
        device.write_generation(number, slow_s=0.003)
    device.start()
    device.confirmed(1)
    with device.load() as load:
        for number in range(2, 6):
            load.wait_answers(20, number - 1)
            device.confirmed(number)
        load.wait_answers(20, 5)
    assert load.lost == []
    assert {answer.status for answer in load.answers} == {200}
    wait_for(lambda: len(serving_processes(device.paths.root)) == 1, "the old processes to be gone")


def test_an_old_child_that_does_not_leave_is_killed(device: Device) -> None:
    device.write_generation(1, hang_after=1)
    device.write_generation(2)
    device.start(heartbeat=60.0, drain=0.3)
    device.confirmed(1)
    connection = device.connect()
    connection.request("POST", "/v2/models/m/infer", body=b"x")
    device.switch(2)
    wait_for(lambda: len(serving_processes(device.paths.root)) == 1, "the hanging process to be killed")
    device.wait_answer(2)
    connection.close()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (
            {"fail": "label-reader: model.onnx is not an ONNX file."},
            "label-reader: model.onnx is not an ONNX file",
        ),
        ({"crash_at_start": True}, "its process ended (exit code 3)"),
        ({"never_ready": True}, "it was not ready within 5 s"),
        ({"refuse_accept": True}, "it was ready but did not accept"),
    ],
)
def test_a_generation_that_does_not_start_leaves_the_old_one_untouched(
    device: Device, mode: Dict[str, Any], reason: str
) -> None:
    device.write_generation(1)
    device.write_generation(2, **mode)
    device.start(heartbeat=2.0)
    device.confirmed(1)
    pid = device.infer().pid
    with pytest.raises(KeeperError) as caught:
        device.switch(2, ready_timeout_s=5)
    assert reason in caught.value.message
    assert "generation 1 still serves." in caught.value.message
    assert device.infer().pid == pid
    status = device.status()
    assert (status["phase"], status["generation"], status["alarms"]) == ("confirmed", 1, [])
    assert (status["history"][-1]["generation"], status["history"][-1]["outcome"]) == (2, "failed")
    assert reason in status["history"][-1]["reason"]
    assert device.paths.current.resolve() == device.paths.generation(1)
    wait_for(lambda: serving_processes(device.paths.root) == [pid], "the failed process to be gone")


def test_any_text_a_failing_generation_says_is_kept(device: Device) -> None:
    device.write_generation(1, fail="Überlauf \ud800\u0000 \n")
    device.start()
    with pytest.raises(KeeperError, match="Überlauf"):
        device.switch(1)
    assert "Überlauf" in device.journal()[-1]["reason"]
    assert device.status()["history"][0]["reason"] == device.state()["history"][0]["reason"]


def test_a_first_generation_that_fails_leaves_the_keeper_idle(device: Device) -> None:
    device.write_generation(1, fail="out of memory")
    device.start()
    with pytest.raises(KeeperError, match=r"out of memory; nothing serves\."):
        device.switch(1)
    assert device.status()["phase"] == "idle"
    device.wait_refused()


@pytest.mark.parametrize("missing", ["manifest", "environment"])
def test_a_generation_with_a_missing_part_is_named(device: Device, missing: str) -> None:
    device.start()
    if missing == "environment":
        device.write_generation(7)
        manifest = device.paths.generation(7) / "manifest.json"
        manifest.write_text('{"schema": 1, "environment": "nothere"}')
    expected = "7/manifest.json" if missing == "manifest" else "envs/nothere/bin/python"
    with pytest.raises(KeeperError, match=expected):
        device.switch(7)


def test_a_taken_port_is_named(device: Device) -> None:
    import socket

    host, port = device.http.split(":")
    device.write_generation(1)
    device.start()
    with socket.create_server((host, int(port))), pytest.raises(KeeperError, match="cannot be listened on"):
        device.switch(1)
    device.switch(1)


def test_status_is_answered_while_a_switch_is_under_way(device: Device) -> None:
    gate = device.paths.root / "go"
    device.write_generation(1)
    device.write_generation(2, ready_when=str(gate))
    device.start()
    device.confirmed(1)
    answers: list[Dict[str, Any]] = []
    switching = threading.Thread(target=lambda: answers.append(device.switch(2, ready_timeout_s=20)))
    switching.start()
    status = device.wait_status(lambda s: s["phase"] == "starting", "the switch to begin")
    assert status["generation"] == 1
    device.wait_answer(1)
    with pytest.raises(KeeperError, match="a switch to generation 2 is under way"):
        device.switch(3)
    gate.touch()
    switching.join()
    assert answers[0]["ok"]
    device.wait_answer(2)


def test_the_old_generation_may_die_while_the_new_one_starts(device: Device) -> None:
    gate = device.paths.root / "go"
    device.write_generation(1)
    device.write_generation(2, ready_when=str(gate))
    device.start()
    device.confirmed(1)
    pid = device.status()["child_pid"]
    switching = threading.Thread(target=lambda: device.switch(2, ready_timeout_s=20))
    switching.start()
    device.wait_status(lambda s: s["phase"] == "starting", "the switch to begin")
    os.kill(pid, 9)
    device.wait_status(lambda s: s["child_pid"] is None, "the old one to be gone")
    gate.touch()
    switching.join()
    device.wait_answer(2)


def test_a_restart_has_as_long_to_become_ready_as_the_switch_had(device: Device) -> None:
    gate = device.paths.root / "go"
    gate.touch()
    device.write_generation(1, ready_when=str(gate))
    device.start(ready=0.5)
    device.switch(1, ready_timeout_s=20)
    device.ask("confirm", generation=1)
    gate.unlink()
    device.stop()
    device.start(ready=0.5)
    first = wait_for(lambda: serving_processes(device.paths.root), "the restart to begin")
    threading.Timer(1.0, gate.touch).start()
    device.wait_status(lambda s: s["phase"] == "confirmed", "the generation to serve")
    assert serving_processes(device.paths.root) == first
