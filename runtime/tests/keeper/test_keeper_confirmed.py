"""Confirmed: it is kept, restarted when it fails, and drained when the keeper stops."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from datetime import datetime
from pathlib import Path

import pytest
from keeper_device import PATIENCE_S, Device, serving_processes, wait_for

from edgeai_runtime.errors import KeeperError


def test_confirm_ends_the_trial_for_good(device: Device) -> None:
    device.write_generation(1)
    device.start()
    device.switch(1, deadline_s=0.5)
    device.ask("confirm", generation=1)
    device.ask("confirm", generation=1)
    status = device.status()
    assert (status["phase"], status["confirmed"], status["trial"]) == ("confirmed", 1, None)
    assert [(entry["generation"], entry["outcome"]) for entry in status["history"]] == [(1, "confirmed")]
    device.kill()
    device.start()
    device.wait_status(lambda s: s["phase"] == "confirmed", "the generation to serve again")
    device.wait_answer(1)


def test_only_the_generation_on_trial_can_be_confirmed_or_reverted(device: Device) -> None:
    device.write_generation(1)
    device.start()
    device.switch(1)
    with pytest.raises(KeeperError, match="generation 2 is not on trial"):
        device.ask("confirm", generation=2)
    device.ask("confirm", generation=1)
    with pytest.raises(KeeperError, match="nothing to revert"):
        device.ask("revert", reason="x")


def test_a_confirmed_generation_that_crashes_is_restarted_with_an_alarm(device: Device) -> None:
    device.write_generation(1)
    device.start()
    device.confirmed(1)
    pid = device.status()["child_pid"]
    os.kill(pid, signal.SIGKILL)
    status = device.wait_status(
        lambda s: s["phase"] == "confirmed" and s["child_pid"] != pid, "a new process"
    )
    assert status["restarts"] == 1
    assert status["alarms"] == ["generation 1 failed (1 in a row): its process ended (killed by signal 9)."]
    device.wait_answer(1)


def test_a_confirmed_generation_that_hangs_is_restarted(device: Device) -> None:
    device.write_generation(1)
    device.start(heartbeat=1.5)
    device.confirmed(1)
    pid = device.status()["child_pid"]
    os.kill(pid, signal.SIGSTOP)
    status = device.wait_status(
        lambda s: s["phase"] == "confirmed" and s["child_pid"] != pid, "a new process"
    )
    assert "no heartbeat for 1.5 s" in status["alarms"][0]


def test_back_off_grows_and_a_calm_time_clears_the_alarm(device: Device) -> None:
    device.write_generation(1)
    device.start(calm=1.0, backoff_first=0.1, backoff_last=0.8)
    device.confirmed(1)
    device.write_generation(1, crash_at_start=True)
    os.kill(device.status()["child_pid"], signal.SIGKILL)
    status = device.wait_status(lambda s: s["restarts"] >= 4, "four restarts")
    assert (status["generation"], status["confirmed"]) == (1, 1)
    ends = [line["time"] for line in device.journal() if line["event"] == "child_ended"]
    seconds = [datetime.fromisoformat(end).timestamp() for end in ends]
    assert len(seconds) == 3  # with the last back-off reached, the journal is spared
    assert [after - before >= pause for before, after, pause in zip(seconds, seconds[1:], (0.1, 0.2))] == [
        True,
        True,
    ]
    device.write_generation(1)
    device.wait_status(lambda s: s["phase"] == "confirmed" and not s["alarms"], "the alarm to clear")
    assert device.stop() == 0
    told = [line["event"] for line in device.journal()]
    assert [event for event in told if event.startswith("alarm")] == ["alarm_raised", "alarm_cleared"]
    assert (told[0], told[-1]) == ("keeper_started", "keeper_stopped")


def test_a_crash_looping_generation_can_be_switched_away_from(device: Device) -> None:
    device.write_generation(1)
    device.write_generation(2)
    device.start(backoff_first=5.0, backoff_last=30.0)
    device.confirmed(1)
    device.write_generation(1, crash_at_start=True)
    os.kill(device.status()["child_pid"], signal.SIGKILL)
    device.wait_status(lambda s: s["phase"] == "failed", "the crash to be noticed")
    device.switch(2)
    device.wait_answer(2)
    assert device.status()["alarms"] == []


def test_sigterm_drains_the_child_and_exits_0(device: Device) -> None:
    device.write_generation(1, slow_s=0.3)
    device.start()
    device.confirmed(1)
    connection = device.connect()
    connection.request("POST", "/v2/models/m/infer", body=b"x")
    device.wait_status(lambda s: s["serving"], "a heartbeat")
    assert device.stop() == 0
    assert connection.getresponse().status == 200
    connection.close()
    assert serving_processes(device.paths.root) == []
    assert not device.paths.control.exists()


def test_an_orphan_that_hangs_is_killed_to_free_the_port(device: Device) -> None:
    device.write_generation(1)
    device.start()
    device.confirmed(1)
    os.kill(device.status()["child_pid"], signal.SIGSTOP)
    device.kill()
    device.start(drain=0.3)
    device.wait_status(lambda s: s["phase"] == "confirmed" and s["child_pid"], "the generation to serve")
    device.wait_answer(1)


def test_a_full_disk_is_an_alarm_and_the_service_goes_on(device: Device) -> None:
    device.write_generation(1)
    device.start()
    device.confirmed(1)
    (device.paths.var / "state.json.new").mkdir()
    pid = device.status()["child_pid"]
    os.kill(pid, signal.SIGKILL)
    status = device.wait_status(
        lambda s: s["phase"] == "confirmed" and s["child_pid"] != pid, "a new process"
    )
    assert any("cannot be written" in alarm for alarm in status["alarms"])
    (device.paths.var / "state.json.new").rmdir()


def test_systemd_is_told_ready_and_watchdog_while_heartbeats_come(device: Device, tmp_path: Path) -> None:
    device.write_generation(1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(PATIENCE_S)
        systemd.bind(str(tmp_path / "notify"))
        device.start({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        device.confirmed(1)
        assert systemd.recv(64) == b"READY=1"
        assert systemd.recv(64) == b"WATCHDOG=1"
        assert systemd.recv(64) == b"WATCHDOG=1"
        stopping = threading.Thread(target=device.stop)
        stopping.start()
        wait_for(lambda: systemd.recv(64) == b"STOPPING=1", "STOPPING=1")
        stopping.join()


def test_the_watchdog_is_not_fed_while_nothing_serves(device: Device, tmp_path: Path) -> None:
    device.write_generation(1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        device.start({"NOTIFY_SOCKET": str(tmp_path / "notify")}, backoff_first=30.0, backoff_last=60.0)
        device.confirmed(1)
        os.kill(device.status()["child_pid"], signal.SIGKILL)
        device.wait_status(lambda s: s["phase"] == "failed", "the crash to be noticed")
        systemd.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # what was sent before the crash
            while systemd.recv(64):
                pass
        systemd.settimeout(2.0)
        with pytest.raises(socket.timeout):
            systemd.recv(64)


def test_a_socket_from_systemd_is_served_and_survives_the_keeper(device: Device) -> None:
    device.write_generation(1)
    host, port = device.http.split(":")
    with socket.create_server((host, int(port)), backlog=64) as listener:
        device.start(listener=listener)
        device.confirmed(1)
        device.wait_answer(1)
        device.kill()
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(device.infer()))
        waiting.start()
        device.start(listener=listener)
        waiting.join()
    assert answers[0].generation == 1
