"""Downloads over http(s):// and file:// with the standard library: resumed, and proved by digest."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import re
import ssl
import time
from pathlib import Path
from typing import IO, Any, Callable, Iterator, Optional, Tuple
from urllib.parse import unquote, urlsplit

from edgeai_runtime.durable import fsync_directory, writing
from edgeai_runtime.errors import InputError, TransferError, TrustError
from edgeai_runtime.release import file_sha256
from edgeai_runtime.trust import connection

TIMEOUT_S = 30.0  # without a byte
# Whoever sends a byte now and then could keep a device, and its lock, busy for ever (slow retrieval).
ANSWER_LIMIT_S = 60.0  # from the request to the end of the answer's head
LOWEST_RATE = 1000  # bytes a second, on average over each
RATE_WINDOW_S = 60.0
PIECE = 1 << 18
# Asked for at once: whatever ends a transfer, no more than this was sent in vain.
CHUNK = 1 << 16
# As often it is made durable: a power cut costs no more than this.
DURABLE_EVERY = 1 << 22
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
# A cable that is pulled for a moment: each attempt goes on where the last one stopped.
ATTEMPTS = 3


class NotThere(TransferError):
    """The depot answered that it has no such file."""


Received = Callable[[int], None]


class _Interrupted(Exception):
    """The connection broke off in the middle; what came so far is kept."""


def depot_path(url: str) -> Optional[Path]:
    """The local path of a file:// URL, None for http(s)://; raises InputError for any other."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme in ("http", "https") and parts.netloc:
        return None
    raise InputError(f"'{url}' is no depot URL; expected http://host:port or file:///directory.")


@contextlib.contextmanager
def _open(url: str, start: int = 0, end: Optional[int] = None) -> Iterator[_Source]:
    """Open `url` from byte `start` to `end`, or the whole of it where the server does not do ranges."""
    path = depot_path(url)
    source = _open_http(url, start, end) if path is None else _open_file(url, path, start, end)
    with contextlib.closing(source.file):
        yield source


def _open_file(url: str, path: Path, start: int, end: Optional[int]) -> _Source:
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed with the source)
    except OSError as error:
        raise _not_there(url, error.strerror or str(error)) from None
    file.seek(start)
    size = os.fstat(file.fileno()).st_size
    return _Source(url, _FileAnswer(file, (size if end is None else end) - start), start, size)


def _open_http(url: str, start: int, end: Optional[int]) -> _Source:
    headers = {"User-Agent": "edgeai"}
    if end is not None:
        headers["Range"] = f"bytes={start}-{end - 1}"
    try:
        answer = connection.ask(url, headers, TIMEOUT_S, ANSWER_LIMIT_S)
    except ssl.SSLCertVerificationError as error:
        raise TransferError(
            f"{url}: the depot's certificate is not trusted here ({error.verify_message}); give the "
            "factory's CA in runtime_depot_ca, call the depot by a name in its certificate, and look at "
            "this machine's clock."
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(
            f"{url}: the depot cannot be reached ({error}); check that it runs and that its address is right."
        ) from None
    if answer.status in (200, 206) and not answer.chunked:
        begin, size = _extent(answer, start)
        return _Source(url, answer, begin, size)
    answer.close()
    if answer.chunked:  # a chunk's head could drip where no rate is measured
        raise TransferError(
            f"{url}: the depot sends a file without its length (Transfer-Encoding: chunked); "
            "let the web server send the bundle's files as they are."
        )
    if answer.status in (403, 404, 410):
        raise _not_there(url, f"{answer.status} {answer.reason}")
    if answer.status == 416:
        # The file ends before `start`: its size is all there is to say.
        size_text = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return _Source(url, io.BytesIO(), start, int(size_text) if size_text.isdigit() else start)
    raise TransferError(
        f"{url}: the depot answered {answer.status} {answer.reason}; look at the depot's log."
    )


def _extent(answer: connection.Answer, start: int) -> Tuple[int, Optional[int]]:
    """The first byte that comes, and the size of the whole file where the depot says it."""
    told = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status == 206 and told and int(told[1]) == start:
        return start, int(told[2]) if told[2].isdigit() else None
    return 0, answer.left


class _FileAnswer:
    """`left` bytes of a file of a directory that is the depot."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file = file
        self._left = left

    def read(self, most: int) -> bytes:
        piece = self._file.read(max(0, min(most, self._left)))
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._file.close()


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
                piece = self.file.read(PIECE)
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
            with _open(url) as source:
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


def fetch(
    url: str,
    partial: Path,
    destination: Path,
    sha256: str,
    size: int,
    received: Received = lambda count: None,
) -> int:
    """Download `url` to `destination`, which appears only once its digest and size are right and durable.

    What arrived before an interruption lies in `partial`; the next call takes up there, from the same
    depot or from another. Each piece's size goes to `received`, which may wait to keep a rate.
    Returns the bytes that were transferred. Raises TransferError when the depot does not deliver,
    TrustError when it delivers other content than `sha256`; InputError for a wrong URL; StorageError.
    """
    with writing(partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        open(partial, "ab").close()
        transferred = _fetch_proved(url, partial, sha256, size, received)
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(destination)
        fsync_directory(destination.parent)
    return transferred


def _fetch_proved(url: str, partial: Path, sha256: str, size: int, received: Received) -> int:
    transferred = 0
    begun = True
    while begun:
        # What an earlier run left may have been spoilt, by a power cut for one: then start afresh, once.
        begun = partial.stat().st_size > 0
        transferred += _complete(url, partial, size, received)
        if file_sha256(partial) == sha256:
            return transferred
        os.truncate(partial, 0)
    partial.unlink()
    raise TrustError(
        f"{url}: the content is not what was signed (its sha256 is another); remove this file from the "
        "depot, copy the bundle there again, and find out who changed it."
    )


def _complete(url: str, partial: Path, size: int, received: Received) -> int:
    """Bring `partial` to `size` bytes; returns the bytes transferred."""
    transferred = broken = 0
    while broken < ATTEMPTS:
        have = partial.stat().st_size
        if have > size:
            os.truncate(partial, 0)
            have = 0
        if have == size:
            return transferred
        came, whole = _append(url, partial, have, size, received)
        transferred += came
        broken = 0 if whole else broken + 1
    raise _broke_off(url, partial.stat().st_size, size)


def _append(url: str, partial: Path, have: int, size: int, received: Received) -> Tuple[int, bool]:
    """Ask for the next chunk; returns the bytes that came, and whether these were all."""
    end = min(have + CHUNK, size)
    with _open(url, have, end) as source, open(partial, "r+b") as file:
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
                received(len(piece))
                if file.tell() > size:
                    file.truncate(0)
                    raise TrustError(
                        f"{url}: the depot sends more than the signed {size} bytes; "
                        "copy the bundle to it again."
                    )
        except _Interrupted:
            pass
        now = file.tell()
        file.flush()
        if now == size or now // DURABLE_EVERY > source.start // DURABLE_EVERY:
            os.fsync(file.fileno())
        return now - source.start, now >= end


def _broke_off(url: str, have: int, size: Optional[int] = None) -> TransferError:
    of = f" of {size}" if size is not None else ""
    return TransferError(
        f"{url}: the transfer broke off {ATTEMPTS} times, after {have}{of} bytes; check the network and "
        "run the command again, it goes on from there."
    )
