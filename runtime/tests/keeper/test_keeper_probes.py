"""What a generation must know: asked before it accepts, and then through the listener that clients use."""

from __future__ import annotations

import contextlib
import http.client
import socket
import stat
from typing import Any, Dict

import pytest
from edgeai_keeper.probe import alike
from keeper_device import Device

from edgeai_runtime.errors import KeeperError

WRONG = "asked for a golden sample of m, text is ['wrong'], expected ['right']"


def prepare(device: Device, mode: Dict[str, Any], **timing: float) -> None:
    """Generation 1 is confirmed; 2, of this mode, waits."""
    device.write_generation(1)
    device.write_generation(2, **mode)
    device.start(**timing)
    device.confirmed(1)


def reverted(device: Device) -> str:
    """Why generation 2 was taken back, once 1 serves again."""
    status = device.wait_status(lambda s: s["last_reverted"] and s["phase"] == "confirmed", "the way back")
    assert status["generation"] == 1
    return str(status["last_reverted"]["reason"])


def ask(device: Device, count: int, generation: int = 2) -> None:
    """Have a generation answer so often, whatever the one before it still answers."""
    for _turn in range(count):
        device.wait_answer(generation)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ({"text": "wrong"}, WRONG),
        ({"stuck_after": 0}, "a golden sample was not answered within 0.3 s"),
    ],
)
def test_what_does_not_know_its_sample_never_meets_a_client(
    device: Device, mode: Dict[str, Any], reason: str
) -> None:
    prepare(device, mode, answer=0.3)
    with device.load() as load, pytest.raises(KeeperError) as caught:
        device.switch(2)
    assert caught.value.message == f"generation 2 was not switched to: {reason}; generation 1 still serves."
    assert load.lost == []
    assert {answer.generation for answer in load.answers} <= {1}


def test_wrong_answers_on_trial_take_it_back(device: Device) -> None:
    prepare(device, {"wrong_after": 3})
    device.switch(2)
    ask(device, 3)
    assert reverted(device) == WRONG


def test_a_model_that_answers_nothing_more_is_taken_back_though_its_heart_beats(device: Device) -> None:
    prepare(device, {"stuck_after": 3}, answer=0.3)
    device.switch(2)
    ask(device, 3)
    assert reverted(device) == "a golden sample was not answered within 0.3 s"


def test_a_model_that_lets_nobody_in_is_taken_back_though_its_heart_beats(device: Device) -> None:
    few = "import edgeai_keeper.listeners\nedgeai_keeper.listeners.BACKLOG = 2\n"
    device.write_generation(1)
    device.write_generation(2, deaf_after=3)
    device.start(first=few, answer=0.5, probe=1.0)
    device.confirmed(1)
    device.switch(2)
    ask(device, 3)
    with contextlib.ExitStack() as crowd:
        with contextlib.suppress(BlockingIOError):  # none gets into the backlog any more
            while device.status()["phase"] == "trial":
                client = crowd.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(str(device.paths.http))
        assert reverted(device) == "a golden sample was not answered within 0.5 s"


def test_a_model_that_has_much_to_do_is_left_to_it(device: Device) -> None:
    prepare(device, {"slow_s": 0.1, "one_by_one": True}, answer=0.4)
    device.switch(2)
    with device.load(clients=8) as load:
        load.wait_answers(40, 2)
        assert device.status()["phase"] == "trial"


def test_a_confirmed_generation_that_answers_wrongly_is_restarted_and_not_replaced(device: Device) -> None:
    device.write_generation(1, wrong_after=3)
    device.start()
    device.confirmed(1)
    before = device.status()["child_pid"]
    ask(device, 3, generation=1)
    status = device.wait_status(lambda s: s["child_pid"] not in (None, before), "a new process")
    assert (status["generation"], status["confirmed"]) == (1, 1)
    assert status["alarms"] == [f"generation 1 failed (1 in a row): {WRONG}."]


def test_samples_that_cannot_be_read_are_an_alarm_and_it_serves(device: Device) -> None:
    device.write_generation(1)
    (device.paths.generation(1) / "probe.json").write_text("{")
    device.start()
    device.confirmed(1)
    assert device.infer().generation == 1
    (alarm,) = device.status()["alarms"]
    assert "generations/1/probe.json or a sample it names cannot be read" in alarm


def test_probes_are_no_requests_of_clients(device: Device) -> None:
    prepare(device, {})
    device.switch(2, soak={"min_requests": 0, "max_error_rate": 0})
    ask(device, 5)
    status = device.wait_status(lambda s: s["trial"]["requests"] >= 5, "the requests to be counted")
    assert status["trial"]["requests"] == 5


def test_programs_on_the_device_are_served_on_a_unix_socket(device: Device) -> None:
    prepare(device, {})
    path = device.paths.run / "http.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    connection = http.client.HTTPConnection("device")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("POST", "/v2/models/m/infer", body=b"x")
    assert b'"generation": 1' in connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize(("ratio", "taken_back"), [(2.0, True), (6.0, False)])
def test_a_generation_that_is_slower_than_the_one_before_is_taken_back(
    device: Device, ratio: float, taken_back: bool
) -> None:
    device.write_generation(1, p99_ms=10)
    device.write_generation(2, p99_ms=50)
    device.start()
    device.confirmed(1)
    device.wait_status(lambda s: s["serving"], "a heartbeat")
    device.switch(2, soak={"max_p99_ratio": ratio})
    if taken_back:
        assert reverted(device) == "its p99 is 50 ms, allowed are 2 times the 10 ms of the generation before"
    else:
        device.wait_status(lambda s: (s["serving"] or {}).get("p99_ms") == 50, "a heartbeat")
        assert device.status()["phase"] == "trial"


class TestMemoryThatDoesNotHoldTwo:
    """More than any machine has is asked for, so that the old generation must leave first."""

    NEVER_FREE_MB = 1e9

    def test_the_old_one_leaves_first_and_no_request_is_lost(self, device: Device) -> None:
        prepare(device, {"slow_s": 0.003})
        with device.load() as load:
            load.wait_answers(20, 1)
            answer = device.switch(2, memory_mb=self.NEVER_FREE_MB)
            load.wait_answers(20, 2)
        assert load.lost == []
        assert 0 < answer["pause_ms"] <= answer["switch_ms"]

    def test_where_both_fit_nothing_waits(self, device: Device) -> None:
        prepare(device, {})
        assert device.switch(2, memory_mb=0.001)["pause_ms"] == 0

    def test_a_new_one_that_fails_gives_way_to_the_old_one(self, device: Device) -> None:
        prepare(device, {"fail": "no such operator"})
        with pytest.raises(KeeperError, match="generation 2 was not switched to: no such operator"):
            device.switch(2, memory_mb=self.NEVER_FREE_MB)
        status = device.wait_status(lambda s: s["phase"] == "confirmed", "the old generation")
        assert (status["generation"], status["alarms"]) == (1, [])
        assert device.infer().generation == 1

    def test_the_way_back_does_the_same(self, device: Device) -> None:
        prepare(device, {})
        device.switch(2, memory_mb=self.NEVER_FREE_MB)
        device.ask("confirm", generation=2)
        device.write_generation(3)
        device.switch(3, memory_mb=self.NEVER_FREE_MB)
        with device.load() as load:
            device.ask("revert")
            load.wait_answers(20, 2)
        assert load.lost == []
        assert device.log.read_text().count("memory does not hold two") == 3


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        (["a"], ["a"], True),
        (["a"], ["b"], False),
        ([1.001, -1.0], [1.0, -1.0], True),
        ([1.02, -1.0], [1.0, -1.0], False),
        ([100], [101], False),
        ([1.0], [1.0, 1.0], False),
        ([None], [1.0], False),
        (None, [1.0], False),
    ],
)
def test_an_answer_is_the_same_but_for_the_order_of_adding_up(found: Any, expected: Any, same: bool) -> None:
    assert alike(found, expected) is same
