"""`edgeai serve` in a process of its own, as one types it."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Optional, Sequence

from serving_process import BOUND_S


class ByHand:
    """`edgeai serve` as one types it; `said` is its line that it is ready."""

    def __init__(
        self, directory: Path, *arguments: str, program: Sequence[str] = ("-m", "edgeai_runtime")
    ) -> None:
        command = [sys.executable, *program, "serve", "--http", "127.0.0.1:0", *arguments]
        environment = dict(os.environ, ORT_DISABLE_TELEMETRY="1", XDG_CACHE_HOME=str(directory / "cache"))
        self.process = subprocess.Popen(
            command, cwd=directory, stderr=subprocess.PIPE, env=environment, text=True
        )
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline().rstrip("\n")
        self.port = int(self.said.rpartition(":")[2]) if " serves " in self.said else 0

    def connect(
        self, unix: Optional[Path] = None, tls: Optional[ssl.SSLContext] = None
    ) -> http.client.HTTPConnection:
        if tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=BOUND_S, context=tls)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=BOUND_S)
        if unix is not None:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(BOUND_S)
            connection.sock.connect(str(unix))
        return connection

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
