"""The control socket: one JSON line in, one out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import selectors
import socket
from pathlib import Path
from typing import Callable, Mapping, Optional

from edgeai_keeper.basics import LINE_LIMIT, Json, Refused, Reply, parse_line, send_line
from edgeai_keeper.listeners import listen_unix

Command = Callable[[Json, Reply], None]


class Control:
    """{"command": NAME, …} calls `commands[NAME]`, which replies, now or later, or raises Refused.

    Asked are {"command": "status"}, {"command": "switch", "generation": N},
    {"command": "confirm", "generation": N} and {"command": "revert"}.
    """

    def __init__(self, root: Path, selector: selectors.BaseSelector, commands: Mapping[str, Command]) -> None:
        self.root, self.path = root, root / "run/edgeai/keeper.sock"
        self.selector, self.commands = selector, commands

    def open(self, user: Optional[pwd.struct_passwd] = None) -> None:
        """Take the lock of this root, then bind the socket: its own user's, or `user`'s. Raises Refused."""
        lock = os.open(self.path.with_name("keeper.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends
        except BlockingIOError:
            holder = os.read(lock, 20).decode()
            raise Refused(f"process {holder} is the keeper of {self.root} already; stop it first.") from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        listener = listen_unix(self.path, mode=0o600, backlog=16)
        if user is not None:
            os.chown(self.path, user.pw_uid, user.pw_gid, follow_symlinks=False)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self.on_connect(listener))

    def close(self) -> None:
        self.path.unlink()

    def on_connect(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _peer = listener.accept()
            connection.setblocking(False)
            line = bytearray()
            self.selector.register(
                connection, selectors.EVENT_READ, lambda: self.on_request(connection, line)
            )

    def on_request(self, connection: socket.socket, line: bytearray) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = connection.recv(LINE_LIMIT)
        line += data
        if not data or len(line) > LINE_LIMIT:
            self.selector.unregister(connection)
            connection.close()
        elif data.endswith(b"\n"):

            def reply(answer: Json) -> None:
                send_line(connection, answer)
                connection.close()

            self.selector.unregister(connection)
            try:
                self.obey(parse_line(bytes(line)) or {}, reply)
            except Refused as error:
                reply({"ok": False, "error": str(error)})

    def obey(self, request: Json, reply: Reply) -> None:
        name = request.get("command")
        if not isinstance(name, str) or name not in self.commands:
            raise Refused(f"unknown command {name!r}, expected one of: {', '.join(self.commands)}.")
        self.commands[name](request, reply)
