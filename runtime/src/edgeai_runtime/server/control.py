# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""The serving process's end of the line to whoever started it: JSON lines both ways on a socket."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Callable, Dict, Optional


class Control:
    """Sends events and hears commands. Without a socket (served by hand) it does nothing."""

    def __init__(self, descriptor: Optional[int]) -> None:
        self._socket = None if descriptor is None else socket.socket(fileno=descriptor)
        self._heard = b""

    def send(self, event: str, **fields: Any) -> None:
        """Send one event; a parent that is gone hears nothing, which is noticed by `listen`."""
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps({"event": event, **fields}).encode() + b"\n")
        except OSError:
            self.close()

    def listen(self, commands: Dict[str, Callable[[], None]], gone: Callable[[], None]) -> None:
        """Call what belongs to each command that comes; `gone` once the parent closed its end."""
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._socket, self._hear, commands, gone)

    def close(self) -> None:
        if self._socket is not None:
            try:
                asyncio.get_running_loop().remove_reader(self._socket)
            except RuntimeError:
                pass  # no loop runs (any more)
            self._socket.close()
            self._socket = None

    def _hear(self, commands: Dict[str, Callable[[], None]], gone: Callable[[], None]) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.close()
            gone()
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            command = json.loads(line).get("command")
            if command in commands:
                commands[command]()
