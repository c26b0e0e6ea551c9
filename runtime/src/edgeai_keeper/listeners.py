"""Where clients come in: TCP, and a Unix socket for programs on the device itself."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Iterator, List, Optional

from edgeai_keeper.basics import Refused

FIRST_PASSED_FD = 3  # sd_listen_fds(3)
BACKLOG = 1024


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for a Unix socket, whose path holds 107 bytes (unix(7)) where a root may be longer."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen_unix(path: Path, mode: int, backlog: int) -> socket.socket:
    """Listen on a Unix socket that those may connect to whom `mode` lets write."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()  # left by a keeper that was killed
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o777 & ~mode)
    with short(path) as name:
        listener.bind(name)
    os.umask(mask)
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


class Listeners:
    """On `http` ("host:port") and `unix`: bound when first needed, or taken from systemd."""

    def __init__(self, http: str, unix: Path) -> None:
        host, _colon, port = http.rpartition(":")
        if not host or not port.isdigit():
            raise Refused(f"{http!r} is not where HTTP can be served; write it as HOST:PORT.")
        self.http, self.unix = http, unix
        self.address = (host.strip("[]"), int(port))
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sockets: List[socket.socket] = []
        self.inherited = False  # systemd's are not ours to close

    def open(self) -> None:
        """Raises Refused."""
        if self.sockets:
            return
        if os.environ.get("LISTEN_PID") == str(os.getpid()):
            self.inherited = True
            count = int(os.environ["LISTEN_FDS"])
            self.sockets = [socket.socket(fileno=FIRST_PASSED_FD + index) for index in range(count)]
        else:
            try:  # create_server sets SO_REUSEADDR
                server = socket.create_server(self.address, family=self.family, backlog=BACKLOG)
            except OSError as error:
                raise Refused(f"{self.http} cannot be listened on ({error.strerror})") from None
            self.sockets = [server, listen_unix(self.unix, mode=0o666, backlog=BACKLOG)]
        for listener in self.sockets:
            listener.setblocking(False)  # old and new child both accept, and one comes too late

    def close(self) -> None:
        """Clients are refused at once, instead of waiting in the backlog. Systemd's stay open."""
        while self.sockets and not self.inherited:
            listener = self.sockets.pop()
            if listener.family == socket.AF_UNIX:
                self.unix.unlink()
            listener.close()

    def connect(self) -> Optional[socket.socket]:
        """A connection as a client's, by the Unix socket; None where its backlog is full. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            with short(self.unix) as name:
                connection.connect(name)
        except OSError as error:
            connection.close()
            if isinstance(error, BlockingIOError):
                return None
            raise
        return connection
