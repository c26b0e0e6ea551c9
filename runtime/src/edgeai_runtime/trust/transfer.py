"""Downloads over http(s):// and file:// with the standard library: resumed, and proved by digest.

Proxies of the environment are not used: a depot stands in the same factory network.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Iterator, Optional
from urllib.parse import unquote, urlsplit

from edgeai_runtime.durable import fsync_directory
from edgeai_runtime.errors import InputError, TransferError, TrustError
from edgeai_runtime.release import file_sha256

TIMEOUT_S = 30.0  # without a byte
PIECE = 1 << 18
# A cable that is pulled for a moment: each attempt goes on where the last one stopped.
ATTEMPTS = 3


class NotThere(TransferError):
    """The depot answered that it has no such file."""


class _Interrupted(Exception):
    """The connection broke off in the middle; what came so far is kept."""


def _opener() -> urllib.request.OpenerDirector:
    """An opener without proxies, redirects and other schemes."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
    ):
        opener.add_handler(handler())
    return opener


def depot_path(url: str) -> Optional[Path]:
    """The local path of a file:// URL, None for http(s)://; raises InputError for any other."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme in ("http", "https") and parts.netloc:
        return None
    raise InputError(f"'{url}' is no depot URL; expected http://host:port or file:///directory.")


@contextlib.contextmanager
def _open(url: str, start: int) -> Iterator[_Source]:
    """Open `url` from byte `start` on, or from 0 where the server does not do ranges."""
    path = depot_path(url)
    source = _open_http(url, start) if path is None else _open_file(url, path, start)
    with contextlib.closing(source.file):
        yield source


def _open_file(url: str, path: Path, start: int) -> _Source:
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed with the source)
    except OSError as error:
        raise _not_there(url, error.strerror or str(error)) from None
    file.seek(start)
    return _Source(file, start, os.fstat(file.fileno()).st_size)


def _open_http(url: str, start: int) -> _Source:
    request = urllib.request.Request(url, headers={"User-Agent": "edgeai"})  # noqa: S310 (depot_path)
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = _opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (403, 404, 410):
            raise _not_there(url, f"{error.code} {error.reason}") from None
        if error.code == 416:
            # The file ends before `start`: its size is all there is to say.
            size = error.headers.get("Content-Range", "").rpartition("/")[2]
            return _Source(io.BytesIO(), start, int(size) if size.isdigit() else start)
        raise TransferError(
            f"{url}: the depot answered {error.code} {error.reason}; look at the depot's log."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise TransferError(
                f"{url}: the depot's certificate is not trusted here ({reason.verify_message}); give the "
                "factory's CA in runtime_depot_ca, call the depot by a name in its certificate, and look at "
                "this machine's clock."
            ) from None
        raise TransferError(
            f"{url}: the depot cannot be reached ({reason}); "
            "check that it runs and that its address is right."
        ) from None
    resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    begin = start if resumed else 0
    length = answer.headers.get("Content-Length")
    return _Source(answer, begin, None if length is None else begin + int(length))


def _not_there(url: str, reason: str) -> NotThere:
    return NotThere(
        f"{url}: the depot does not have this file ({reason}); copy the whole bundle to it again."
    )


class _Source:
    """An open download: reads from byte `start`; `size` is what the depot says the whole file has."""

    def __init__(self, file: IO[bytes], start: int, size: Optional[int]) -> None:
        self.start = start
        self.size = size
        self.file = file

    def pieces(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self.file.read(PIECE)
            except (OSError, http.client.HTTPException):
                raise _Interrupted() from None
            if not piece:
                return
            yield piece


def read(url: str, limit: int) -> bytes:
    """The content of a small file, at most `limit` bytes; raises TransferError, NotThere, InputError."""
    for _turn in range(ATTEMPTS):
        data = b""
        try:
            with _open(url, 0) as source:
                for piece in source.pieces():
                    data += piece
                    if len(data) > limit:
                        raise TransferError(
                            f"{url}: the depot sends more than {limit} bytes; copy the bundle to it again."
                        )
            if source.size is None or len(data) == source.size:
                return data
        except _Interrupted:
            continue
    raise _broke_off(url, len(data))


def fetch(url: str, partial: Path, destination: Path, sha256: str, size: int) -> int:
    """Download `url` to `destination`, which appears only once its digest and size are right and durable.

    What arrived before an interruption lies in `partial`; the next call takes up there.
    Returns the bytes that were transferred. Raises TransferError when the depot does not deliver,
    TrustError when it delivers other content than `sha256`; InputError for a wrong URL.
    """
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        open(partial, "ab").close()
        transferred = _fetch_proved(url, partial, sha256, size)
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(destination)
        fsync_directory(destination.parent)
    except OSError as error:
        raise TransferError(
            f"{destination}: cannot be written ({error.strerror}); make room or correct the permissions, "
            "then run the command again."
        ) from None
    return transferred


def _fetch_proved(url: str, partial: Path, sha256: str, size: int) -> int:
    transferred = 0
    begun = True
    while begun:
        # What an earlier run left may have been spoilt, by a power cut for one: then start afresh, once.
        begun = partial.stat().st_size > 0
        transferred += _complete(url, partial, size)
        if file_sha256(partial) == sha256:
            return transferred
        os.truncate(partial, 0)
    partial.unlink()
    raise TrustError(
        f"{url}: the content is not what was signed (its sha256 is another); remove this file from the "
        "depot, copy the bundle there again, and find out who changed it."
    )


def _complete(url: str, partial: Path, size: int) -> int:
    """Bring `partial` to `size` bytes; returns the bytes transferred."""
    transferred = 0
    for _turn in range(ATTEMPTS):
        have = partial.stat().st_size
        if have > size:
            os.truncate(partial, 0)
            have = 0
        if have == size:
            return transferred
        try:
            transferred += _append(url, partial, have, size)
        except _Interrupted:
            continue
    have = partial.stat().st_size
    if have != size:
        raise _broke_off(url, have, size)
    return transferred


def _append(url: str, partial: Path, have: int, size: int) -> int:
    with _open(url, have) as source, open(partial, "r+b") as file:
        if source.size is not None and source.size != size:
            file.truncate(0)
            raise TrustError(
                f"{url}: the depot's file has {source.size} bytes, signed are {size}; "
                "copy the bundle to the depot again."
            )
        file.truncate(source.start)
        file.seek(source.start)
        try:
            for piece in source.pieces():
                file.write(piece)
                if file.tell() > size:
                    file.truncate(0)
                    raise TrustError(
                        f"{url}: the depot sends more than the signed {size} bytes; "
                        "copy the bundle to it again."
                    )
        finally:
            file.flush()
            os.fsync(file.fileno())
        return file.tell() - source.start


def _broke_off(url: str, have: int, size: Optional[int] = None) -> TransferError:
    of = f" of {size}" if size is not None else ""
    return TransferError(
        f"{url}: the transfer broke off {ATTEMPTS} times, after {have}{of} bytes; check the network and "
        "run the command again, it goes on from there."
    )
