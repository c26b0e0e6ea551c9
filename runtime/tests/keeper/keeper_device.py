"""A device in a temporary root: a real keeper process, stand-in generations, real HTTP clients."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import pytest
from edgeai_keeper.keeper import Timing

from edgeai_runtime.errors import KeeperError
from edgeai_runtime.generations.keeper_client import KeeperClient
from edgeai_runtime.paths import Paths
from edgeai_runtime.trust.store import blob_path

SAMPLE = "5a" * 32
PATIENCE_S = 60.0
FAST = {
    "tick": 0.02,
    "heartbeat": 5.0,
    "ready": 20.0,
    "drain": 5.0,
    "probe": 0.05,
    "answer": 5.0,
    "backoff_first": 0.05,
    "backoff_last": 0.2,
}
LAUNCH = """
import json, sys
from edgeai_keeper.keeper import Keeper, Timing
sys.exit(Keeper(sys.argv[1], sys.argv[2], timing=Timing(**json.loads(sys.argv[3]))).run())
"""
PASS_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until `condition` is true; what it returned. Fails with `what` after 20 s."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    pytest.fail(f"waited {PATIENCE_S:g} s for: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Answer:
    def __init__(self, status: int, body: Dict[str, Any]) -> None:
        self.status = status
        self.generation: int = body["generation"]
        self.pid: int = body["pid"]


class Device:
    """One device: `start()` its keeper, write generations, ask and load it."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.http = f"127.0.0.1:{free_port()}"
        self.client = KeeperClient(self.paths)
        self.keeper: Optional[subprocess.Popen[bytes]] = None
        self.log = root / "keeper.log"
        python = self.paths.environment("e1") / "bin" / "python"
        python.parent.mkdir(parents=True)
        standin = Path(__file__).with_name("standin.py")
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{standin}" "$@"\n')
        python.chmod(0o755)
        blob = blob_path(self.paths, SAMPLE)
        blob.parent.mkdir(parents=True)
        blob.write_bytes(b"a picture")

    def write_generation(self, number: int, knows: Optional[str] = "right", **mode: Any) -> None:
        """A generation that behaves as `mode` says; its gate saw it answer a sample with `knows`."""
        directory = self.paths.generation(number)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "mode.json").write_text(json.dumps(mode))
        if knows is not None:
            sample = {
                "model": "m",
                "sample": SAMPLE,
                "content_type": "image/png",
                "expect": {"text": [knows]},
            }
            (directory / "probe.json").write_text(json.dumps({"schema": 1, "samples": [sample]}))
        manifest = {"schema": 1, "generation": number, "environment": "e1"}
        (directory / "manifest.json").write_text(json.dumps(manifest))

    def start(
        self,
        environment: Optional[Dict[str, str]] = None,
        listener: Optional[socket.socket] = None,
        first: str = "",
        command: Sequence[str] = (),
        **timing: float,
    ) -> Dict[str, Any]:
        """Start a keeper, with a listening socket as systemd passes it if given; its first status.

        What its process does `first` is a program's text. Another `command` has the keeper's own timing.
        """
        timing_json = json.dumps(Timing(**{**FAST, **timing})._asdict())
        if command:
            command = [*command, "--root", str(self.paths.root), "--http", self.http]
        else:
            command = [sys.executable, "-c", first + LAUNCH, str(self.paths.root), self.http, timing_json]
        if listener is not None:
            command = [sys.executable, "-c", PASS_SOCKET, str(listener.fileno()), *command]
        with open(self.log, "ab") as log:
            self.keeper = subprocess.Popen(
                command,
                stderr=log,
                env={**os.environ, **(environment or {})},
                pass_fds=[listener.fileno()] if listener is not None else [],
            )

        def answers() -> Optional[Dict[str, Any]]:
            with contextlib.suppress(KeeperError):
                status = self.client.request({"command": "status"})
                return status if status["pid"] == self.keeper.pid else None
            assert self.keeper.poll() is None, self.log.read_text()
            return None

        return dict(wait_for(answers, "the keeper to answer"))

    def kill(self) -> None:
        assert self.keeper is not None
        self.keeper.kill()
        self.keeper.wait()

    def stop(self) -> int:
        assert self.keeper is not None
        self.keeper.terminate()
        return self.keeper.wait(PATIENCE_S)

    def ask(self, command: str, **fields: Any) -> Dict[str, Any]:
        return self.client.request({"command": command, "actor": "test", **fields}, timeout_s=PATIENCE_S)

    def switch(self, generation: int, **fields: Any) -> Dict[str, Any]:
        return self.ask("switch", generation=generation, **fields)

    def confirmed(self, generation: int) -> None:
        """Switch to a generation and confirm it."""
        self.switch(generation)
        self.ask("confirm", generation=generation)

    def status(self) -> Dict[str, Any]:
        return self.ask("status")

    def wait_status(self, condition: Callable[[Dict[str, Any]], Any], what: str) -> Dict[str, Any]:
        def met() -> Optional[Dict[str, Any]]:
            status = self.status()
            return status if condition(status) else None

        return dict(wait_for(met, f"{what}; log:\n{self.log.read_text()}"))

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.http, timeout=PATIENCE_S)

    def infer(self, connection: Optional[http.client.HTTPConnection] = None) -> Answer:
        own = connection or self.connect()
        try:
            own.request("POST", "/v2/models/m/infer", body=b"x")
            response = own.getresponse()
            return Answer(response.status, json.loads(response.read()))
        finally:
            if connection is None:
                own.close()

    def wait_answer(self, generation: int) -> Answer:
        """The first answer of a generation: the one before it may still accept until it reads "drain"."""

        def of_generation() -> Optional[Answer]:
            answer = self.infer()
            return answer if answer.generation == generation else None

        answer = wait_for(of_generation, f"an answer of generation {generation}")
        assert isinstance(answer, Answer)
        return answer

    def wait_refused(self) -> None:
        """Wait until nothing listens: a killed process holds the socket a moment longer."""

        def refused() -> bool:
            try:
                self.infer()
            except ConnectionRefusedError:
                return True
            except (OSError, http.client.HTTPException):
                pass
            return False

        wait_for(refused, "the connection to be refused")

    def journal(self) -> List[Dict[str, Any]]:
        return [json.loads(line) for line in self.paths.journal.read_text().splitlines()]

    def state(self) -> Dict[str, Any]:
        return dict(json.loads(self.paths.state.read_text()))

    def clean_up(self) -> None:
        """Leave no process behind, whatever a test did."""
        if self.keeper is not None and self.keeper.poll() is None:
            self.kill()
        for pid in serving_processes(self.paths.root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def load(self, clients: int = 4) -> Iterator[Load]:
        """Requests without pause, half over kept connections and half over new ones."""
        load = Load(self, clients)
        try:
            yield load
        finally:
            load.stop()


class Load:
    def __init__(self, device: Device, clients: int) -> None:
        self.device = device
        self.answers: List[Answer] = []
        self.lost: List[str] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i % 2 == 0,)) for i in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, keep: bool) -> None:
        connection = self.device.connect() if keep else None
        while not self._done.is_set():
            try:
                self.answers.append(self.device.infer(connection))
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                if connection:
                    connection.close()
        if connection:
            connection.close()

    def wait_answers(self, count: int, generation: int) -> None:
        wait_for(
            lambda: sum(answer.generation == generation for answer in self.answers) >= count,
            f"{count} answers of generation {generation}",
        )

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def serving_processes(root: Path) -> List[int]:
    """Pids of the stand-ins of this root."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"--root\0{root}\0serve".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found
