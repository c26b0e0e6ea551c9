"""A generation as a serving process of its own, beside the one that serves; gone when it was measured."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Iterator, List, Tuple

from edgeai_runtime.errors import BackendError
from edgeai_runtime.paths import Paths

READY_LIMIT_S = 120.0


class Candidate:
    """A serving process that is ready at `address` ("host:port") on the loopback interface."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self.address = ""

    def wait_ready(self, limit_s: float, complaints: IO[bytes]) -> None:
        """Read the control channel until the process is ready; raises BackendError when it is not."""
        give_up = time.monotonic() + limit_s
        rest = b""
        while not self.address:
            self._control.settimeout(max(0.01, give_up - time.monotonic()))
            try:
                data = self._control.recv(1 << 16)
            except socket.timeout:  # TimeoutError is another class before Python 3.10
                raise BackendError(f"it was not ready within {limit_s:.0f} s") from None
            if not data:
                raise BackendError(f"{self._last_words(complaints)}")
            *lines, rest = (rest + data).split(b"\n")
            for message in map(json.loads, lines):
                if message.get("event") == "failed":
                    raise BackendError(str(message.get("message")).rstrip("."))
                if message.get("event") == "ready":
                    self.address = str(message["address"])
        self._control.setblocking(False)

    def alive(self) -> bool:
        """Whether it still runs; also empties the channel, so that its heartbeats never block it."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while self._control.recv(1 << 16):
                pass
        return self._process.poll() is None

    def ending(self) -> str:
        """How a process that is not alive ended."""
        status = self._process.wait()
        if status < 0:
            return f"its process died of {signal.Signals(-status).name}"
        return f"its process ended with status {status}"

    def peak_rss_mb(self) -> float:
        """The highest resident memory since its start in megabytes of 10^6 bytes; 0 when it is gone.

        VmHWM of proc(5): the kernel's own high-water mark misses no peak between two looks.
        """
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    return round(int(line.split()[1]) * 1024 / 1e6, 1)
        return 0.0

    def _last_words(self, complaints: IO[bytes]) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        complaints.seek(0)
        lines = complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300].rstrip(".") if lines else self.ending()


@contextlib.contextmanager
def candidate(
    paths: Paths, generation: Path, environment: str, ready_limit_s: float = READY_LIMIT_S
) -> Iterator[Candidate]:
    """Start the generation in `generation` with its environment's python; it is always stopped again.

    Raises BackendError saying why it did not become ready.
    """
    python = paths.environment(environment) / "bin" / "python"
    command: Tuple[str, ...] = (str(python), "-m", "edgeai_runtime", "--root", str(paths.root))
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as complaints:
        try:
            process = _start([*command, *_serve(generation, theirs.fileno())], theirs.fileno(), complaints)
        finally:
            theirs.close()
        try:
            started = Candidate(process, ours)
            started.wait_ready(ready_limit_s, complaints)
            yield started
        finally:
            # It has no clients but us and writes nothing: there is nothing to drain.
            process.kill()
            process.wait()


def _serve(generation: Path, control: int) -> List[str]:
    return ["serve", "--generation", str(generation), "--http", "127.0.0.1:0", "--control-fd", str(control)]


def _start(command: List[str], control: int, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            pass_fds=[control],
            env=dict(os.environ, ORT_DISABLE_TELEMETRY="1"),
            cwd="/",
        )
    except OSError as error:
        raise BackendError(f"{command[0]} cannot be started ({error.strerror})") from None
