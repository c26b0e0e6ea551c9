"""Asks the keeper: one JSON line in, one out, over the control socket of one device."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any, Dict, Mapping

from edgeai_runtime.actor import actor
from edgeai_runtime.errors import KeeperError
from edgeai_runtime.paths import Paths

TIMEOUT_S = 30.0  # a busy SD card holds up what the keeper writes for many seconds
POLL_S = 0.1


class KeeperClient:
    """The keeper of the device below `paths.root`."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def request(self, message: Mapping[str, Any], timeout_s: float = TIMEOUT_S) -> Dict[str, Any]:
        """Send one command, e.g. {"command": "status"}, and return the keeper's answer.

        A `switch` is answered when it is done: give it more than its own ready_timeout_s.
        Raises KeeperError when the keeper is not there, does not answer, or refuses (its own sentence).
        """
        path = self._paths.control
        line = json.dumps({"actor": actor(), **message}).encode() + b"\n"
        try:
            answer = json.loads(self._exchange(line, timeout_s))
        except PermissionError:
            raise KeeperError(
                f"{path}: this user may not ask the keeper; run as the keeper's user."
            ) from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise KeeperError(
                f"{path}: the keeper is not running; start its service, then try again."
            ) from None
        except socket.timeout:
            raise KeeperError(
                f"{path}: the keeper did not answer within {timeout_s:g} s; look at its status and its log."
            ) from None
        except (OSError, ValueError):
            raise KeeperError(
                f"{path}: the keeper ended before it answered; look at its log, then try again."
            ) from None
        if not answer.get("ok"):
            raise KeeperError(str(answer.get("error")))
        return dict(answer)

    def status(self, absence_s: float = 0.0) -> Dict[str, Any]:
        """The keeper's answer to "status"; one that is just being started is given `absence_s` to be there.

        Raises KeeperError.
        """
        give_up = time.monotonic() + absence_s
        while True:
            try:
                return self.request({"command": "status"})
            except KeeperError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(POLL_S)

    def _exchange(self, line: bytes, timeout_s: float) -> bytes:
        directory = os.open(self._paths.run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout_s)
                # A socket's path holds 107 bytes (unix(7)); a device's root may be longer.
                connection.connect(f"/proc/self/fd/{directory}/{self._paths.control.name}")
                connection.sendall(line)
                with connection.makefile("rb") as answer:
                    return answer.readline()
        finally:
            os.close(directory)
