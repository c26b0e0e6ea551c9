"""What passes between the HTTP connection and the application."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Mapping, Optional

_LENGTH = 1000  # characters of an error
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


NO_HEADERS: Mapping[str, str] = {}


class Head:
    """Request line and headers, their names in lower case; `keep_alive` is what the client wishes.

    A `local` one came through a Unix socket, from this very machine.

    A client that sends the same bytes again is given the same object: what answers such requests is
    found once and kept in `handler`.
    """

    __slots__ = ("handler", "headers", "keep_alive", "local", "method", "path")

    def __init__(
        self, method: str, path: str, headers: Dict[str, str], keep_alive: bool = True, local: bool = False
    ) -> None:
        self.method, self.path, self.headers, self.keep_alive = method, path, headers, keep_alive
        self.local = local
        self.handler: Optional[Handler] = None


class Response:
    """`content_type` and `headers` go over the wire as they are, `body` is not changed any more."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "application/json",
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.status, self.body, self.content_type = status, body, content_type
        self.headers: Mapping[str, str] = NO_HEADERS if headers is None else headers


Reply = Callable[[Response], None]
# Answers a body, at once or later, and exactly once.
Handler = Callable[[memoryview, Reply], None]


class Refused(Exception):
    """A request that is answered with a 4xx status; the message is the sentence the client reads."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def json_response(value: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(value, ensure_ascii=False).encode())


def mistake(error: Exception) -> Response:
    """What a client is told of an error of ours; the log has more."""
    return error_response(
        500, f"The runtime made a mistake ({type(error).__name__}); please report it with its log."
    )


def error_response(status: int, message: str, headers: Optional[Dict[str, str]] = None) -> Response:
    """An error in the form of the V2 protocol: {"error": message}; of one that quotes much, both ends."""
    if len(message) > _LENGTH:
        message = f"{message[: _LENGTH - 300]}…{message[-200:]}"
    return Response(
        status, json.dumps({"error": message}, ensure_ascii=False).encode(errors="replace"), headers=headers
    )
