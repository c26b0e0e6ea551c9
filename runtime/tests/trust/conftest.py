"""A depot that can be told to misbehave, for the tests of everything that takes from one."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

sys.path.append(str(Path(__file__).parents[1] / "bundle"))

from edgeai_runtime.depot import _Handler, _Server
from edgeai_runtime.trust import connection


class Depot:
    """`url`, what was asked for (`requests`: path and Range) and the faults to come."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.requests: List[Tuple[str, Optional[str]]] = []
        self.break_off_after: List[int] = []  # bytes of the next bodies, one entry an answer
        self.break_off_in = ""  # the end of the paths whose bodies these are
        self.ranges = True
        self.sent = 0  # bytes of files, metadata among them
        self.after_sending: Callable[[], None] = lambda: None
        self.connections = 0
        self.open: List[socket.socket] = []
        # What an attacker answers: by the end of a path a content, or who writes the whole answer.
        self.forged: Dict[str, Any] = {}
        self.url = ""

    def hang_up(self) -> None:
        """End every connection, as a depot that is started anew does."""
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def ranges_of(self, name: str) -> List[Optional[str]]:
        """The Range header of each request whose path ends in `name`."""
        return [asked for path, asked in self.requests if path.endswith(name)]


class _FaultyHandler(_Handler):
    def __init__(self, *arguments: Any, depot: Depot) -> None:
        self.depot = depot
        depot.connections += 1
        depot.open.append(arguments[0])
        super().__init__(*arguments, directory=depot.directory.resolve())

    def _answer(self, with_body: bool) -> None:
        self.depot.requests.append((self.path, self.headers.get("Range")))
        self.directory = self.depot.directory.resolve()  # another one meanwhile, to a client that stays
        if not self.depot.ranges:
            del self.headers["Range"]
        for end, forged in self.depot.forged.items():
            if self.path.endswith(end):
                self.close_connection = True
                self._forge(forged)
                return
        super()._answer(with_body)

    def _forge(self, forged: Any) -> None:
        if isinstance(forged, bytes):
            self.send_response(200)
            self.send_header("Content-Length", str(len(forged)))
            self.end_headers()
            self.wfile.write(forged)
        else:
            with contextlib.suppress(OSError):  # the client hung up
                forged(self.wfile)

    def _copy(self, file: Any, start: int, end: int) -> None:
        if self.depot.break_off_after and self.path.endswith(self.depot.break_off_in):
            end = min(end, start + self.depot.break_off_after.pop(0))
            self.close_connection = True
        self.depot.sent += end - start
        super()._copy(file, start, end)
        self.depot.after_sending()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Path], Depot]]:
    """Serves directories until the test ends."""
    running = []

    def start(directory: Path) -> Depot:
        depot = Depot(directory)
        server = _Server(("127.0.0.1", 0), partial(_FaultyHandler, depot=depot))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        depot.url = f"http://127.0.0.1:{server.server_address[1]}"
        return depot

    yield start
    connection.close_idle()
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()
