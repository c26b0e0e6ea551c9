"""No request is lost while generations change, whichever way clients come in.

EDGEAI_SWITCHES says how often model and runtime are switched, each; `make test-switches` takes 50.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
from collections import Counter
from typing import Iterator, List, Tuple

from bench import ENVIRONMENT, Bench, wait_for
from toy import build_environment, picture

from edgeai_runtime.generations.verdicts import confirm

SWITCHES = int(os.environ.get("EDGEAI_SWITCHES", "2"))
OTHER_ENVIRONMENT = "f" * 64
TEXTS = ("AB", "CAB", "BABC")


class Client(threading.Thread):
    """Asks without pause: over TCP or the Unix socket, on one connection or on a new one each time."""

    def __init__(self, bench: Bench, unix: bool, keep: bool, done: threading.Event) -> None:
        super().__init__()
        self._bench, self._unix, self._keep, self._done = bench, unix, keep, done
        self._pictures = {text: picture(text) for text in TEXTS}
        self.answers: Counter[str] = Counter()  # by version
        self.lost: List[str] = []
        self.wrong: List[Tuple[str, object]] = []

    def run(self) -> None:
        connection = self._connect()
        while not self._done.is_set():
            for text, image in self._pictures.items():
                try:
                    self._ask(connection, text, image)
                except (OSError, http.client.HTTPException) as error:
                    self.lost.append(repr(error))
                    connection.close()
                if not self._keep or connection.sock is None:
                    connection.close()
                    connection = self._connect()
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._bench.http, timeout=60)
        if self._unix:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(60)
            connection.sock.connect(str(self._bench.paths.run / "http.sock"))
        return connection

    def _ask(self, connection: http.client.HTTPConnection, text: str, image: bytes) -> None:
        connection.request("POST", "/v2/models/label-reader/infer", image, {"Content-Type": "image/png"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200 or answer["outputs"][0]["data"] != [text]:
            self.wrong.append((text, answer))
        self.answers[str(answer.get("model_version"))] += 1


@contextlib.contextmanager
def load(bench: Bench) -> Iterator[List[Client]]:
    done = threading.Event()
    clients = [Client(bench, unix, keep, done) for unix in (False, True) for keep in (False, True)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        done.set()
        for client in clients:
            client.join()


def wait_all_answered(clients: List[Client], version: str) -> None:
    """Until each client has met the version since now."""
    before = [client.answers[version] for client in clients]
    wait_for(
        lambda: all(client.answers[version] > was for client, was in zip(clients, before)),
        f"{version} to answer every client",
    )


def test_every_request_is_answered_rightly_through_switches_of_model_and_runtime(bench: Bench) -> None:
    build_environment(bench.paths, OTHER_ENVIRONMENT)
    releases = {version: bench.release(version) for version in ("1.0.0", "1.1.0")}
    with load(bench) as clients:
        for number in range(1, SWITCHES + 1):
            version = ("1.0.0", "1.1.0")[number % 2]
            bench.put_live(releases[version])
            wait_all_answered(clients, version)
            environment = (ENVIRONMENT, OTHER_ENVIRONMENT)[number % 2]
            assert bench.trial(environment=environment).changed
            confirm(bench.paths)
            wait_all_answered(clients, version)
    assert [client.lost for client in clients] == [[]] * 4
    assert [client.wrong for client in clients] == [[]] * 4
    assert {version for client in clients for version in client.answers} == set(releases)
    switched = [line for line in bench.journal() if line["event"] == "switched"]
    print(f"{len(switched)} switches, {sum(sum(c.answers.values()) for c in clients)} requests, none lost")
