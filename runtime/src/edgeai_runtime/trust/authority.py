"""Who vouches for the depot's certificate."""

from __future__ import annotations

import os
from pathlib import Path

from edgeai_runtime.errors import InputError


def trust_depot(ca: Path) -> None:
    """Let every TLS connection of this process trust `ca` and nobody else.

    OpenSSL reads the two variables for every `ssl.create_default_context()`. Raises InputError.
    """
    if not ca.is_file():
        raise InputError(f"{ca}: there is no such file; name the CA that vouches for the depot.")
    os.environ.update(SSL_CERT_FILE=str(ca.absolute()), SSL_CERT_DIR="")
