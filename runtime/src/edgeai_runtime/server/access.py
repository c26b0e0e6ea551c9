"""Who may ask, and under which certificate: on this machine by the Unix socket, from elsewhere by token."""

from __future__ import annotations

import hmac
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from edgeai_runtime.errors import InputError
from edgeai_runtime.server.messages import Head, Refused

SHORTEST = 16  # characters of a token
_OPEN = ("/v2/health/live", "/v2/health/ready")  # a load balancer has no token, and learns nothing there


@dataclass(frozen=True)
class Access:
    """`tokens` (RFC 6750), any of which is good, are asked of TCP; without any nobody is asked for one.

    `tls` is what TCP connections begin with, None for plain ones.
    """

    tokens: Tuple[bytes, ...] = ()
    tls: Optional[ssl.SSLContext] = None

    def check(self, head: Head) -> None:
        """Raises Refused (401) for a request that lacks a good token where one is needed."""
        if self.tokens and not head.local and head.path not in _OPEN and not self._has_token(head):
            raise Refused(
                401,
                "This needs a token; send 'Authorization: Bearer TOKEN' with one of those that were set.",
                **{"WWW-Authenticate": 'Bearer realm="edgeai"'},
            )

    def check_administrator(self, head: Head) -> None:
        """Raises Refused (403) for whoever may not change what is served."""
        if not head.local and not self._has_token(head):
            raise Refused(
                403,
                "This is for whoever is on the device: ask through its Unix socket, or with a token where "
                "tokens were set.",
            )

    def _has_token(self, head: Head) -> bool:
        scheme, _space, given = head.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        # All of them are looked at, so that the time tells nothing.
        good = [hmac.compare_digest(token, given.strip().encode("latin-1")) for token in self.tokens]
        return any(good)


OPEN = Access()  # to everybody who reaches the port, which is this machine's alone unless told otherwise


def open_access(
    tokens: Optional[Path] = None, certificate: Optional[Path] = None, key: Optional[Path] = None
) -> Access:
    """Read the file of tokens (one a line, # begins a comment) and the certificate with its key (PEM).

    Raises InputError, which never holds a token.
    """
    if (certificate is None) != (key is None):
        raise InputError("TLS takes a certificate and its key; name both serve.certificate and serve.key.")
    tls = _tls(certificate, key) if certificate is not None and key is not None else None
    return Access(_read_tokens(tokens) if tokens is not None else (), tls)


def _read_tokens(path: Path) -> Tuple[bytes, ...]:
    try:
        lines = [line.strip() for line in _read_secret(path).splitlines()]
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no text; write one token a line.") from None
    tokens = tuple(line.encode() for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise InputError(f"{path}: there is no token in it; write one a line, or name no file.")
    for number, token in enumerate(tokens, 1):
        if len(token) < SHORTEST or not all(0x20 < byte < 0x7F for byte in token):
            raise InputError(
                f"{path}: token {number} is shorter than {SHORTEST} characters, or has some that a header "
                "does not take; make one with `openssl rand -hex 32`."
            )
    return tokens


def _read_secret(path: Path) -> str:
    """What is in a file that nobody but its owner and root may read."""
    try:
        with open(path, encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise InputError(f"{path}: others may read it; type: chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path and its owner."
        ) from None


def _tls(certificate: Path, key: Path) -> ssl.SSLContext:
    _read_secret(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def without_asking() -> str:
        raise InputError(f"{key}: the key is encrypted, and a service has nobody to ask; store it plain.")

    try:
        context.load_cert_chain(certificate, key, password=without_asking)
    except FileNotFoundError:
        raise InputError(f"{certificate}: there is no such file; check the path.") from None
    except (ssl.SSLError, OSError) as error:
        raise InputError(
            f"{certificate}: it and {key} are no certificate with its key ({error.strerror or error}); "
            "both are PEM, the certificate first where others follow it."
        ) from None
    return context
