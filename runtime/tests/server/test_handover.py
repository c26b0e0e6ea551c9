"""Processes take over from each other on one socket, under load: not one request may fail."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

import toys
from serving_process import serving
from toys import Toy

BOUND_S = 120.0
SWITCHES = 3
REQUESTS_PER_VERSION = 150


class Load(threading.Thread):
    """A client that asks without a pause, on one connection or on a new one each time."""

    def __init__(self, port: int, keep_alive: bool, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._keep_alive = keep_alive
        self._pause = pause
        self.stop = threading.Event()
        self.versions: Counter[str] = Counter()
        self.failures: List[str] = []

    def run(self) -> None:
        body = toys.picture("ABC")
        headers = {"Content-Type": "image/png", "Connection": "keep-alive" if self._keep_alive else "close"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=BOUND_S)
        while not self.stop.is_set():
            try:
                connection.request("POST", "/v2/models/reader/infer", body, headers)
                response = connection.getresponse()
                answer: Dict[str, Any] = json.loads(response.read())
                if response.status != 200 or answer["outputs"][0]["data"] != ["ABC"]:
                    self.failures.append(f"{response.status} {answer}")
                self.versions[answer["model_version"]] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            self.stop.wait(self._pause)
        connection.close()


def test_no_request_fails_while_one_process_hands_over_to_the_next(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        clients = [
            *(Load(listener.getsockname()[1], keep_alive=True) for _turn in range(3)),
            *(Load(listener.getsockname()[1], keep_alive=False) for _turn in range(3)),
            # Mostly idle when the hand-over comes.
            *(Load(listener.getsockname()[1], keep_alive=True, pause=0.2) for _turn in range(2)),
        ]
        give_up = time.monotonic() + BOUND_S
        before = None
        for number in range(SWITCHES + 1):
            version = f"1.{number}.0"
            toy = Toy(toys.reader(), toys.READER, toys.LABELS, version)
            directory = toys.write_generation(tmp_path / str(number), {"reader": toy}, number)
            process = stack.enter_context(serving(directory, listener=listener))
            process.wait_for("ready")
            process.tell("accept")
            process.wait_for("accepting")
            if before is None:
                for client in clients:
                    client.start()
            else:
                before.tell("drain")
                before.wait_for("drained")
                assert before.ended() == 0
            before = process
            while sum(client.versions[version] for client in clients) < REQUESTS_PER_VERSION:
                assert time.monotonic() < give_up
                process.wait_for("heartbeat", len(process.events))
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(BOUND_S)
        assert [client.failures for client in clients] == [[]] * len(clients)
        assert all(len(client.versions) > SWITCHES / 2 for client in clients)
