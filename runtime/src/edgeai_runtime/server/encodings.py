"""Compressed bodies, gzip and deflate (RFC 9110, 8.4.1), bounded in what they unfold to."""

from __future__ import annotations

import zlib
from typing import Mapping

from edgeai_runtime.server.messages import Refused, Response

# window bits of zlib: what it reads as this encoding.
_FORMATS = {"gzip": 31, "deflate": 15}
_LEVEL = 1  # a device's processor has better things to do
_WORTHWHILE = 1 << 10  # bytes


def of_request(headers: Mapping[str, str]) -> str:
    """How the body is compressed, empty where it is not. Raises Refused."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return ""
    if encoding not in _FORMATS:
        raise Refused(415, f"The body is compressed as '{encoding[:40]}', expected {' or '.join(_FORMATS)}.")
    return encoding


def for_answer(headers: Mapping[str, str]) -> str:
    """How the client would like the answer compressed, empty for not at all."""
    offered = [part.strip().lower() for part in headers.get("accept-encoding", "").split(",")]
    return next((encoding for encoding in _FORMATS if encoding in offered), "")


def unpack(body: memoryview, encoding: str, limit: int) -> memoryview:
    """The body as it was before. Raises Refused for what is broken, or larger than a body may be."""
    reader = zlib.decompressobj(_FORMATS[encoding])
    try:
        data = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise Refused(400, f"The body is no {encoding} ({error}); send it again.") from None
    if len(data) > limit:
        raise Refused(413, f"The body unfolds to more than {limit / 1e6:g} MB; send a smaller one.")
    if not reader.eof:
        raise Refused(400, f"The body ends in the middle of its {encoding} data; send it whole.")
    return memoryview(data)


def pack(response: Response, encoding: str) -> Response:
    """The answer compressed, where that is wanted and worth it."""
    if not encoding or len(response.body) < _WORTHWHILE:
        return response
    writer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _FORMATS[encoding])
    body = writer.compress(response.body) + writer.flush()
    headers = {**response.headers, "Content-Encoding": encoding}
    return Response(response.status, body, response.content_type, headers)
