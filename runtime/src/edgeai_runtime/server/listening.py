"""Accepting connections, and stopping without losing one.

The listening sockets may be shared with the process that comes next. Draining therefore begins
with not accepting any more: what waits in the backlog is the next one's, what was accepted is ours.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Optional, Sequence

from edgeai_keeper.listeners import short

from edgeai_runtime.address import parse_address
from edgeai_runtime.errors import InputError
from edgeai_runtime.server.door import Door, Told
from edgeai_runtime.server.http import Answer, Connection
from edgeai_runtime.server.limits import Held, Limits

_BACKLOG = 1024


def bind(http: str) -> socket.socket:
    """A listening TCP socket on "host:port" (port 0: any free one). Raises InputError."""
    host, port = parse_address(http)
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise InputError(f"{http}: cannot serve there ({error.strerror}); choose another address.") from None
    return listener


def bind_unix(path: Path) -> socket.socket:
    """A listening Unix socket at `path`, for whom the umask lets write to it. Raises InputError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short(path) as name:
            if path.is_socket() and not _is_answered(name):
                path.unlink()  # left by a process that was killed
            listener.bind(name)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        why = error.strerror or "its name is too long for a Unix socket"  # which alone has no number
        if error.errno == errno.EADDRINUSE:
            why = "somebody serves there" if path.is_socket() else "something else has that name"
        raise InputError(f"{path}: cannot serve there ({why}); choose another path.") from None
    return listener


def _is_answered(name: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        return client.connect_ex(name) == 0


def inherit(descriptor: int) -> socket.socket:
    """The listening socket another process left open for us. Raises InputError."""
    try:
        listener = socket.socket(fileno=descriptor)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if not listens:
            listener.close()
    except OSError:
        listens = 0
    if not listens:
        raise InputError(f"File descriptor {descriptor} is no listening socket; pass one that is.")
    return listener


def address_of(listener: socket.socket) -> str:
    """host:port of a TCP listener, the path of a Unix one."""
    name = listener.getsockname()
    if isinstance(name, str):
        return name
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listening:
    """Connections from any number of listening sockets. All methods run in the event loop."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        answer: Answer,
        limits: Limits,
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        """`tls`: what TCP connections begin with; programs on this machine, on Unix sockets, need none."""
        self._answer, self._held = answer, Held(limits.bodies)
        make = partial(self._connection, limits)
        self._doors = [Door(listener, limits, make, self._left, tls) for listener in listeners]
        # Whoever made these connections had us drain, and asks nothing more on them.
        hasty = partial(self._connection, replace(limits, quiet_s=0.0, linger_s=0.0))
        self._aside = Door(None, limits, hasty, self._left, tls)
        self._empty: Optional[asyncio.Future[None]] = None

    def accept(self) -> None:
        """Begin to accept."""
        for door in self._doors:
            door.open()

    def adopt(self, client: socket.socket) -> None:
        """Answer on a connection that somebody else made, who is not waited for when all is drained."""
        self._aside.adopt(client)

    async def drain(self) -> None:
        """Stop accepting, answer everything that is on its way, return when the last has closed."""
        for door in (*self._doors, self._aside):
            door.drain()
        if self._inside:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def forget(self) -> None:
        """Have what answers a request be found anew on all connections: other models are served now."""
        for door in (*self._doors, self._aside):
            for connection in door.connections:
                connection.forget()

    def close(self) -> None:
        """Close our descriptors of the listening sockets; other processes keep theirs."""
        for door in (*self._doors, self._aside):
            door.close()

    @property
    def _inside(self) -> int:
        return sum(door.inside for door in (*self._doors, self._aside))

    def _connection(self, limits: Limits, opened: Told, closed: Told) -> Connection:
        return Connection(self._answer, limits, self._held, opened, closed)

    def _left(self) -> None:
        if self._empty is not None and not self._empty.done() and not self._inside:
            self._empty.set_result(None)
