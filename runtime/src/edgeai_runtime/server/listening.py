"""Accepting connections, and stopping without losing one.

The listening sockets may be shared with the process that comes next. Draining therefore begins
with not accepting any more: what waits in the backlog is the next one's, what was accepted is ours.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path
from typing import Optional, Sequence, Set

from edgeai_keeper.listeners import short

from edgeai_runtime.address import parse_address
from edgeai_runtime.errors import InputError
from edgeai_runtime.server.http import Answer, Connection
from edgeai_runtime.server.limits import Limits

_log = logging.getLogger("edgeai.server")
_BACKLOG = 1024
_RETRY_S = 0.5


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
        raise InputError(f"{path}: cannot serve there ({error.strerror}); choose another path.") from None
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
        self._listeners = listeners
        self._answer = answer
        self._limits = limits
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._connections: Set[Connection] = set()
        self._arriving: Set[asyncio.Task[None]] = set()
        self._begun = False
        self._accepting = False
        self._draining = False
        self._empty: Optional[asyncio.Future[None]] = None
        for listener in listeners:
            listener.setblocking(False)

    def accept(self) -> None:
        """Begin to accept."""
        if not self._draining:
            self._begun = True
            self._watch()

    def adopt(self, client: socket.socket) -> None:
        """Answer on a connection that somebody else made."""
        client.setblocking(False)
        task = self._loop.create_task(self._adopt(client))
        self._arriving.add(task)
        task.add_done_callback(self._adopted)

    async def drain(self) -> None:
        """Stop accepting, answer everything that is on its way, return when the last has closed."""
        self._draining = True
        self._unwatch()
        for connection in list(self._connections):
            connection.drain()
        if self._connections or self._arriving:
            self._empty = self._loop.create_future()
            await self._empty

    def forget(self) -> None:
        """Have what answers a request be found anew on all connections: other models are served now."""
        for connection in self._connections:
            connection.forget()

    def close(self) -> None:
        """Close our descriptors of the listening sockets; other processes keep theirs."""
        self._draining = True
        self._unwatch()
        for listener in self._listeners:
            listener.close()

    def _watch(self) -> None:
        if not self._draining and self._open < self._limits.connections:
            self._accepting = True
            for listener in self._listeners:
                self._loop.add_reader(listener.fileno(), self._take_one, listener)

    def _unwatch(self) -> None:
        self._accepting = False
        for listener in self._listeners:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener.fileno())

    @property
    def _open(self) -> int:
        return len(self._connections) + len(self._arriving)

    def _take_one(self, listener: socket.socket) -> None:
        # One at a time: the rest is left for the process beside us, and for the next turn of the loop.
        try:
            client, _peer = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.warning("cannot accept connections (%s); trying again in %s s", error.strerror, _RETRY_S)
            self._unwatch()
            self._loop.call_later(_RETRY_S, self._watch)
            return
        self.adopt(client)
        if self._open >= self._limits.connections:
            self._unwatch()

    async def _adopt(self, client: socket.socket) -> None:
        # Only the concrete loop has this method in Python 3.8's view of the types.
        assert isinstance(self._loop, asyncio.BaseEventLoop)
        tls = None if client.family == socket.AF_UNIX else self._tls
        limit = None if tls is None else self._limits.arrive_s
        await self._loop.connect_accepted_socket(
            self._connection, client, ssl=tls, ssl_handshake_timeout=limit
        )

    def _adopted(self, task: asyncio.Task[None]) -> None:
        self._arriving.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("a connection was lost while it was accepted: %s", task.exception())
        self._left()

    def _connection(self) -> Connection:
        return Connection(self._answer, self._limits, self._opened, self._closed)

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._draining:
            connection.drain()

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._left()

    def _left(self) -> None:
        if self._draining:
            if self._empty is not None and not self._empty.done() and not self._open:
                self._empty.set_result(None)
        elif self._begun and not self._accepting:
            self._watch()
