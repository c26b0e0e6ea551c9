"""Addresses as users write them."""

from __future__ import annotations

from typing import Tuple

from edgeai_runtime.errors import InputError


def parse_address(text: str) -> Tuple[str, int]:
    """Host and port of "host:port" ("[::1]:9001" too; port 0 is any free one). Raises InputError."""
    host, _colon, port = text.rpartition(":")
    if not host.strip("[]") or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"'{text}' is no address to serve on, expected host:port such as 127.0.0.1:9001.")
    return host.strip("[]"), int(port)
