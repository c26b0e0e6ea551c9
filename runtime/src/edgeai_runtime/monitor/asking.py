"""Ask the serving process for its report, through the socket for programs on the device."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Dict, Optional

from edgeai_keeper.listeners import short

from edgeai_runtime.monitor.watch import REPORT_PATH

_PATIENCE_S = 3.0


def connected(path: Path, timeout_s: Optional[float]) -> socket.socket:
    """A connection to whoever listens at the Unix socket `path`. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with short(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


class UnixConnection(http.client.HTTPConnection):
    """HTTP to whoever serves at the Unix socket `path`."""

    def __init__(self, path: Path, timeout_s: float = _PATIENCE_S) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = connected(self._path, self.timeout)


def ask(path: Path) -> Optional[Dict[str, Any]]:
    """Watch.report() of whoever serves at the Unix socket `path`; None when it does not tell, since nothing
    serves, it has too much to do, or it is a runtime from before there was such a report."""
    connection = UnixConnection(path)
    try:
        connection.request("GET", REPORT_PATH)
        answer = connection.getresponse()
        report = json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return report if isinstance(report, dict) else None
