"""One listening socket, and who came in through it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Callable, Dict, Optional, Set

from edgeai_runtime.server.http import Connection
from edgeai_runtime.server.limits import Limits
from edgeai_runtime.server.seldom import Seldom

_log = logging.getLogger("edgeai.server")
_RETRY_S = 0.5
Told = Callable[[Connection], None]


class Door:
    """All methods run in the event loop.

    Each door has its own number of connections, so that a crowd on the network does not keep the programs of
    this machine out. When as many are in as may be, whoever overstays longest makes room for the next.
    """

    def __init__(
        self,
        listener: Optional[socket.socket],
        limits: Limits,
        connection: Callable[[Told, Told], Connection],
        left: Callable[[], None],
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        """`listener` None: nobody comes in but who is `adopt`ed. `left` is called whenever one has left."""
        self.connections: Set[Connection] = set()
        self._arriving: Dict[asyncio.Task[None], float] = {}  # since when, the first first
        self._listener, self._limits, self._tls = listener, limits, tls
        self._make, self._told_left = connection, left
        self._loop = asyncio.get_running_loop()
        self._is_open = self._watched = self._shut = False
        self._complain = Seldom(_log.warning).say
        if listener is not None:
            listener.setblocking(False)

    @property
    def inside(self) -> int:
        return len(self.connections) + len(self._arriving)

    def open(self) -> None:
        """Begin to accept."""
        self._is_open = not self._shut
        self._watch()

    def drain(self) -> None:
        """Accept nobody any more; who is in gets the answers that are under way."""
        self._shut, self._is_open = True, False
        self._unwatch()
        for connection in list(self.connections):
            connection.drain()

    def close(self) -> None:
        """Close our descriptor of the listening socket; other processes keep theirs."""
        self._shut, self._is_open = True, False
        self._unwatch()
        if self._listener is not None:
            self._listener.close()

    def adopt(self, client: socket.socket) -> None:
        """Answer on a connection that somebody else made."""
        client.setblocking(False)
        task = self._loop.create_task(self._adopt(client))
        self._arriving[task] = self._loop.time()
        task.add_done_callback(self._adopted)

    def _watch(self) -> None:
        if self._is_open and not self._watched and self._listener is not None:
            self._watched = True
            self._loop.add_reader(self._listener.fileno(), self._take_one, self._listener)

    def _unwatch(self) -> None:
        self._watched = False
        if self._listener is not None and self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())

    def _take_one(self, listener: socket.socket) -> None:
        # One at a time: the rest is left for the process beside us, and for the next turn of the loop.
        if self.inside >= self._limits.connections and not self._make_room():
            self._look_later()
            return
        try:
            client, _peer = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            self._complain(f"cannot accept connections ({error.strerror}); trying again every {_RETRY_S} s")
            self._look_later()
            return
        self.adopt(client)

    def _make_room(self) -> bool:
        """Whether one more may come in: those that are leaving count no more, up to as many again."""
        if self.inside >= 2 * self._limits.connections:
            return False
        staying = [connection for connection in self.connections if not connection.leaves]
        if len(staying) + len(self._arriving) < self._limits.connections:
            return True
        if self._arriving:  # with TLS a client has something to say before it is in
            task, since = next(iter(self._arriving.items()))
            if self._loop.time() - since > self._limits.hurry_s:
                del self._arriving[task]
                task.cancel()
                return True
        longest = max(staying, key=Connection.overstays_s, default=None)
        if longest is None or longest.overstays_s() < 0:
            return False
        longest.give_way()
        return True

    def _look_later(self) -> None:
        self._unwatch()
        self._loop.call_later(_RETRY_S, self._watch)

    async def _adopt(self, client: socket.socket) -> None:
        # Only the concrete loop has this method in Python 3.8's view of the types.
        assert isinstance(self._loop, asyncio.BaseEventLoop)
        tls = None if client.family == socket.AF_UNIX else self._tls
        limit = None if tls is None else self._limits.arrive_s
        await self._loop.connect_accepted_socket(
            lambda: self._make(self._opened, self._closed), client, ssl=tls, ssl_handshake_timeout=limit
        )

    def _adopted(self, task: asyncio.Task[None]) -> None:
        self._arriving.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._complain(f"a connection was lost while it was accepted: {task.exception()}")
        self._left()

    def _opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        if self._shut:
            connection.drain()

    def _closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._left()

    def _left(self) -> None:
        self._watch()
        self._told_left()
