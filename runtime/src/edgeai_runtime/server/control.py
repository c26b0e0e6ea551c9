"""The channel to whoever started the process: JSON lines over one end of a socket pair."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Any, Callable, Optional

from edgeai_runtime.errors import InputError

_MAX_LINE = 64 << 10
_MAX_UNREAD = 64 << 10


def say_failed(descriptor: int, message: str, damaged: bool) -> None:
    """Tell whoever started the process why it will not serve, before there is an event loop."""
    with socket.socket(fileno=os.dup(descriptor)) as channel:
        line = {"event": "failed", "message": message, "damaged": damaged}
        channel.sendall(json.dumps(line).encode() + b"\n")


class Control(asyncio.Protocol):
    """Events go out, commands come in. A parent that is gone is a command too: drain."""

    def __init__(self, on_command: Callable[[str], None]) -> None:
        """`on_command` is called with "accept" or "drain" in the event loop."""
        self._on_command = on_command
        self._transport: Optional[asyncio.Transport] = None
        self._buffer = b""
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, descriptor: int, on_command: Callable[[str], None]) -> Control:
        """Take over an inherited descriptor. Raises InputError when it is no socket."""
        try:
            channel = socket.socket(fileno=descriptor)
        except OSError as error:
            raise InputError(
                f"File descriptor {descriptor} is no control channel ({error.strerror}); pass a socket."
            ) from None
        channel.setblocking(False)
        control = cls(on_command)
        await asyncio.get_running_loop().create_connection(lambda: control, sock=channel)
        return control

    def send(self, event: str, **fields: Any) -> None:
        """Send one event. A parent that does not read misses heartbeats; nothing piles up here."""
        if self._transport is None or self._transport.is_closing():
            return
        if event == "heartbeat" and self._transport.get_write_buffer_size() > _MAX_UNREAD:
            return
        line = json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n"
        self._transport.write(line.encode())

    async def close(self) -> None:
        """Close once the parent has been sent everything."""
        if self._transport is not None:
            self._transport.close()
            await self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Optional[Exception]) -> None:
        if not self._lost.done():
            self._lost.set_result(None)
        self._on_command("drain")

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._buffer + data).split(b"\n")
        self._buffer = rest[:_MAX_LINE]
        for line in lines:
            try:
                command = json.loads(line).get("command")
            except (ValueError, AttributeError):
                continue  # a newer keeper may say more than we understand
            if command in ("accept", "drain"):
                self._on_command(command)
