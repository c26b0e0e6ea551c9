"""A real serving process and this end of its control channel."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

BOUND_S = 60.0


class ServingProcess:
    """`events` holds everything it said, in order."""

    def __init__(
        self,
        generation: Path,
        *arguments: str,
        listener: Optional[socket.socket] = None,
        root: Path = Path("/nowhere"),
    ) -> None:
        self._control, theirs = socket.socketpair()
        self.aside, their_aside = socket.socketpair()
        for end in (self._control, self.aside):
            end.settimeout(BOUND_S)
        self._rest = b""
        self.events: List[Dict[str, Any]] = []
        inherited = [theirs.fileno(), their_aside.fileno(), *([listener.fileno()] if listener else [])]
        where = ["--listen-fd", str(listener.fileno())] if listener else ["--http", "127.0.0.1:0"]
        command = [sys.executable, "-m", "edgeai_runtime", "--root", str(root)]
        command += ["serve", "--generation", str(generation)]
        self.process = subprocess.Popen(
            [
                *command,
                *where,
                f"--control-fd={theirs.fileno()}",
                f"--probe-fd={their_aside.fileno()}",
                *arguments,
            ],
            pass_fds=inherited,
            stderr=subprocess.PIPE,
            env=dict(os.environ, ORT_DISABLE_TELEMETRY="1"),
        )
        theirs.close()
        their_aside.close()

    @property
    def url(self) -> str:
        return f"http://{self.wait_for('ready')['address']}"

    def tell(self, command: str) -> None:
        self._control.sendall(json.dumps({"command": command}).encode() + b"\n")

    def wait_for(self, event: str, since: int = 0, **fields: Any) -> Dict[str, Any]:
        """The first such event from index `since` of `events` on; fails after a bounded time."""
        give_up = time.monotonic() + BOUND_S
        while True:
            for message in self.events[since:]:
                if message["event"] == event and fields.items() <= message.items():
                    return message
            assert time.monotonic() < give_up, f"no {event} {fields} among {self.events}"
            data = self._control.recv(1 << 16)
            assert data, f"it ended: {self.events}"
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.events += map(json.loads, lines)

    def leave(self) -> None:
        """Close the parent's end of the channel."""
        self._control.close()

    def ended(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(BOUND_S)

    def complaints(self) -> str:
        """What it wrote to stderr, once it ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._control.close()
        self.aside.close()
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextlib.contextmanager
def serving(
    generation: Path,
    arguments: Sequence[str] = (),
    listener: Optional[socket.socket] = None,
    root: Path = Path("/nowhere"),
) -> Iterator[ServingProcess]:
    process = ServingProcess(generation, *arguments, listener=listener, root=root)
    try:
        yield process
    finally:
        process.close()
