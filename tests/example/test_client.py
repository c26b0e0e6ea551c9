"""The client counts what becomes of its requests, and believes no answer.

The server here is a stand-in that misbehaves on command; a device does not.
"""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
from client import Client, Counts, Phase, table
from render import ORDINARY, labels

STOCK = labels("client test", 8, wide_every=4, conditions=ORDINARY)
TRUTH = {one.png: one for one in STOCK}
Answer = Callable[[bytes], Tuple[int, Any]]


class Device(ThreadingHTTPServer):
    """Answers POSTs with what `answer` makes of the body; None cuts the connection."""

    daemon_threads = True
    answer: Answer
    connections = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Device

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def do_POST(self) -> None:
        png = self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.answer(png)
        if status == 0:
            self.close_connection = True
            return
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def v2(text: str, version: str = "1.0.0") -> Tuple[int, Dict[str, Any]]:
    output = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
    return 200, {"model_name": "label-reader", "model_version": version, "outputs": [output]}


@pytest.fixture
def device() -> Iterator[Device]:
    server = Device(("127.0.0.1", 0), Handler)
    server.answer = lambda png: v2(TRUTH[png].text)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def send(device: Device, requests: int, live: Any = None) -> Counts:
    """What a client counts that sends at least so many requests."""
    client = Client({"d": f"http://127.0.0.1:{device.server_port}"}, rate=1000, stock=STOCK)
    phase = client.phase("test", {"d": live})
    client.start()
    assert client.wait_for(requests, timeout_s=20)
    client.stop()
    return phase.counts["d"]


def test_right_answers_are_counted_and_travel_on_one_connection(device: Device) -> None:
    counts = send(device, 20, live={"1.0.0"})
    assert counts.flawless
    assert counts.sent == counts.answered >= 20
    assert counts.versions == {"1.0.0": counts.sent}
    assert counts.texts[:8] == [one.text for one in STOCK]
    assert device.connections == 1


def test_a_wrong_text_is_no_failure_but_not_flawless_either(device: Device) -> None:
    device.answer = lambda png: v2("SN-?" if TRUTH[png].wide else TRUTH[png].text)
    counts = send(device, 8)
    assert counts.wrong_text >= 2
    assert counts.failed == 0
    assert not counts.flawless
    assert counts.trouble[0] == f"d: '{STOCK[3].text}' was read as 'SN-?' by 1.0.0"


def test_an_answer_by_a_version_that_should_not_be_live_is_counted(device: Device) -> None:
    counts = send(device, 4, live={"1.1.0", "1.2.0"})
    assert counts.wrong_version == counts.answered
    assert counts.trouble[0] == "d: answered by 1.0.0, expected 1.1.0 or 1.2.0"


def test_errors_are_counted_and_those_of_wide_labels_too(device: Device) -> None:
    error = (500, {"error": "the model failed"})
    device.answer = lambda png: error if TRUTH[png].wide else v2(TRUTH[png].text)
    counts = send(device, 8)
    assert counts.failed == counts.failed_wide >= 2
    assert counts.sent == counts.answered + counts.failed
    assert counts.trouble[0] == f"d: '{STOCK[3].text}' failed: HTTP 500, the model failed"


@pytest.mark.parametrize(
    "answer", [(0, b""), (200, b"<html>"), (200, {"outputs": []}), (404, b"[]"), (200, [])]
)
def test_what_is_not_an_answer_is_a_failure(device: Device, answer: Tuple[int, Any]) -> None:
    device.answer = lambda png: answer
    counts = send(device, 3)
    assert counts.failed == counts.sent >= 3
    assert counts.failed_wide != counts.failed


def test_a_device_that_is_down_is_a_failure_and_the_client_goes_on() -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        port = bound_but_not_listening.getsockname()[1]
        client = Client({"d": f"http://127.0.0.1:{port}"}, rate=1000, stock=STOCK)
        client.start()
        assert client.wait_for(5, timeout_s=20)
        client.stop()
    assert client.phases[0].counts["d"].failed >= 5


def test_a_request_belongs_to_the_phase_in_which_it_was_sent(device: Device) -> None:
    client = Client({"d": f"http://127.0.0.1:{device.server_port}"}, rate=1000, stock=STOCK)
    first = client.phase("first", {"d": {"1.0.0"}})
    client.start()
    assert client.wait_for(5, timeout_s=20)
    second = client.phase("second", {"d": {"2.0.0"}})
    assert client.wait_for(5, timeout_s=20)
    client.stop()
    assert first.total.flawless
    assert second.total.wrong_version == second.total.sent >= 5


def test_the_table_has_a_line_a_device() -> None:
    counts = {"line1-pi": Counts(sent=3, answered=2, failed=1), "line2-pc": Counts()}
    counts["line1-pi"].versions.update(["1.0.0", "1.0.0"])
    lines = table(Phase("x", {}, counts).counts).splitlines()
    assert [line.split()[0] for line in lines] == ["device", "line1-pi", "line2-pc"]
    assert lines[1].endswith("1.0.0 (2)")
    assert lines[2].endswith("-")
