"""The embedded depot: a bundle's files over HTTP/1.1, with range requests. Standard library only.

For trying out and for small factories; a large one puts the same files behind a web server of its own.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Match, Optional, Tuple
from urllib.parse import unquote, urlsplit

from edgeai_runtime.address import parse_address
from edgeai_runtime.errors import InputError

_FIRST_PASSED_FD = 3

# One range, from a first byte on or of the last bytes; RFC 9110 14.2 lets a server ignore all others.
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


def _span(asked: Optional[Match[str]], size: int) -> Tuple[int, int]:
    """The first byte asked for and the one after the last, of a file of `size` bytes."""
    if asked is None:
        return 0, size
    first, last, suffix = asked.groups()
    if suffix:
        return max(0, size - int(suffix)), size
    return int(first), min(int(last) + 1, size) if last else size


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "edgeai-depot"
    sys_version = ""
    timeout = 60  # seconds without a byte
    # Headers and a small file are two writes: the second must not wait for the first's acknowledgement.
    disable_nagle_algorithm = True

    def __init__(self, *arguments: Any, directory: Path) -> None:
        self.directory = directory
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        file = self._open()
        if file is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            asked = _RANGE.fullmatch(self.headers.get("Range", ""))
            start, end = _span(asked, size)
            if start >= end and asked:
                self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, ("Content-Range", f"bytes */{size}"))
                return
            self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if with_body:
                self._copy(file, start, end)

    def _refuse(self, status: HTTPStatus, *headers: Tuple[str, str]) -> None:
        """Answer without a body and without a log line: devices ask for a next root that is not there."""
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()

    def _open(self) -> Optional[IO[bytes]]:
        """The file asked for; None when there is none, it is hidden or it lies outside the directory."""
        name = unquote(urlsplit(self.path).path).lstrip("/")
        try:
            path = (self.directory / name).resolve()
            hidden = any(part.startswith(".") for part in path.relative_to(self.directory).parts)
            return None if hidden or not path.is_file() else open(path, "rb")
        except (OSError, ValueError):  # no such name, a NUL in it, or outside
            return None

    def _copy(self, file: IO[bytes], start: int, end: int) -> None:
        file.seek(start)
        left = end - start
        try:
            while left:
                piece = file.read(min(1 << 18, left))
                if not piece:
                    break
                self.wfile.write(piece)
                left -= len(piece)
        except OSError:
            left = -1  # the client hung up; there is nobody to tell
        if left:
            self.close_connection = True

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Only errors are worth a line of an SD card."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's business, anything else is ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _ServerOnPassedSocket(_Server):
    """Serves on the socket that systemd opened (sd_listen_fds(3)), with no right to open one of its own."""

    address_family = socket.AF_UNIX  # of the one that socketserver makes first, always

    def server_bind(self) -> None:
        self.socket.close()
        self.socket = socket.socket(fileno=_FIRST_PASSED_FD)


def make_server(directory: Path, http: str) -> ThreadingHTTPServer:
    """A depot of `directory` bound to "host:port" (port 0: any free one); raises InputError.

    A listening socket that systemd passed to this process is used instead.
    """
    if not directory.is_dir():
        raise InputError(f"{directory}: there is no bundle directory to serve; build the bundle first.")
    host, port = parse_address(http)
    passed = os.environ.get("LISTEN_PID") == str(os.getpid())
    kind = _ServerOnPassedSocket if passed else _Server
    try:
        return kind((host, port), partial(_Handler, directory=directory.resolve()))
    except OSError as error:
        raise InputError(f"{http}: cannot listen there ({error.strerror}); choose another address.") from None


def serve(directory: Path, http: str) -> None:
    """Serve until the process is ended."""
    with make_server(directory, http) as server:
        server.serve_forever(poll_interval=3600)
