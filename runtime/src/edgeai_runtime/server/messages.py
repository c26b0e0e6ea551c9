"""What passes between the HTTP connection and the application."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Optional

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class Request:
    """A whole request. Header names are lower case; `keep_alive` is what the client wishes."""

    method: str
    path: str
    headers: Dict[str, str]
    body: bytes = b""
    keep_alive: bool = True


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A request that is answered with a 4xx status; the message is the sentence the client reads."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def json_response(value: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(value, ensure_ascii=False).encode())


def error_response(status: int, message: str, headers: Optional[Dict[str, str]] = None) -> Response:
    """An error in the form of the V2 protocol: {"error": message}."""
    return Response(
        status, json.dumps({"error": message}, ensure_ascii=False).encode(), headers=headers or {}
    )
