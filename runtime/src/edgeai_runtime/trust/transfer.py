"""Downloads over http(s):// and file:// with the standard library: resumed, and proved by digest.

Proxies of the environment are not used: a depot stands in the same factory network.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Iterator, List, Optional
from urllib.parse import quote, unquote, urlsplit

from edgeai_runtime.durable import fsync_directory
from edgeai_runtime.errors import InputError, TransferError, TrustError
from edgeai_runtime.release import file_sha256

TIMEOUT_S = 30.0  # without a byte
# Whoever sends a byte now and then could keep a device, and its lock, busy for ever (slow retrieval).
ANSWER_LIMIT_S = 60.0  # from the request to the end of the answer's head
LOWEST_RATE = 1000  # bytes a second, on average over each
RATE_WINDOW_S = 60.0
PIECE = 1 << 18
# What RFC 3986 allows in a URL, "%" included: the rest is quoted, what was quoted stays as it is.
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
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
    return _Source(url, file, start, os.fstat(file.fileno()).st_size)


def _open_http(url: str, start: int) -> _Source:
    request = urllib.request.Request(  # noqa: S310 (depot_path)
        quote(url, safe=_URL_CHARACTERS), headers={"User-Agent": "edgeai"}
    )
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = _answer(request)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (403, 404, 410):
            raise _not_there(url, f"{error.code} {error.reason}") from None
        if error.code == 416:
            # The file ends before `start`: its size is all there is to say.
            size = error.headers.get("Content-Range", "").rpartition("/")[2]
            return _Source(url, io.BytesIO(), start, int(size) if size.isdigit() else start)
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
    if answer.chunked:  # a chunk's head could drip where no rate is measured
        answer.close()
        raise TransferError(
            f"{url}: the depot sends a file without its length (Transfer-Encoding: chunked); "
            "let the web server send the bundle's files as they are."
        )
    resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    begin = start if resumed else 0
    return _Source(url, answer, begin, None if answer.length is None else begin + answer.length)


def _answer(request: urllib.request.Request) -> Any:
    """The depot's answer, of which the head has come; raises what urllib raises.

    The socket's timeout is for each byte; all of them together are waited for in a thread, which alone
    covers a name that does not resolve, a TLS handshake and a head that drips.
    """
    answers: List[Any] = []
    failures: List[BaseException] = []

    def ask() -> None:
        try:
            answers.append(_opener().open(request, timeout=TIMEOUT_S))
        except BaseException as failure:  # noqa: BLE001 (raised again below, in the caller's thread)
            failures.append(failure)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_LIMIT_S)
    if failures:
        raise failures[0]
    if not answers:
        raise OSError(f"no answer within {ANSWER_LIMIT_S:g} s")
    return answers[0]


def _not_there(url: str, reason: str) -> NotThere:
    return NotThere(
        f"{url}: the depot does not have this file ({reason}); copy the whole bundle to it again."
    )


class _Source:
    """An open download: reads from byte `start`; `size` is what the depot says the whole file has."""

    def __init__(self, url: str, file: Any, start: int, size: Optional[int]) -> None:
        self.start = start
        self.size = size
        self.file = file
        self._url = url

    def pieces(self) -> Iterator[bytes]:
        """What comes, as it comes; raises TransferError when that is too little in too long a time."""
        came, waited = 0, 0.0
        while True:
            asked = time.monotonic()
            try:
                # Not read(), which waits until the whole piece is there.
                piece = self.file.read1(PIECE)
            except (OSError, http.client.HTTPException):
                raise _Interrupted() from None
            if not piece:
                return
            came += len(piece)
            waited += time.monotonic() - asked
            if waited >= RATE_WINDOW_S:
                if came < LOWEST_RATE * RATE_WINDOW_S:
                    raise TransferError(
                        f"{self._url}: the depot sends too slowly ({came} bytes in {waited:.0f} s, expected "
                        f"are {LOWEST_RATE} a second at least); check the network and who answers there, "
                        "then run the command again."
                    )
                came, waited = 0, 0.0
            yield piece


def read(url: str, limit: int) -> bytes:
    """The content of a small file, at most `limit` bytes; raises TransferError, NotThere, InputError."""
    for _turn in range(ATTEMPTS):
        data = bytearray()
        try:
            with _open(url, 0) as source:
                for piece in source.pieces():
                    data += piece
                    if len(data) > limit:
                        raise TransferError(
                            f"{url}: the depot sends more than {limit} bytes; copy the bundle to it again."
                        )
            if source.size is None or len(data) == source.size:
                return bytes(data)
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
        f"{url}: the content is not what was signed (its sha256 is another); "
        "copy the bundle to the depot again and find out who changed it."
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
