"""Connections to depots, kept open from one answer to the next: a release is many files in many pieces.

Without proxies and redirects: a depot stands in the same factory network.
"""

from __future__ import annotations

import atexit
import http.client
import ssl
import threading
from typing import Dict, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, quote, urlsplit

# What RFC 3986 allows in a URL, "%" included: the rest is quoted, what was quoted stays as it is.
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"

_idle: Dict[Tuple[str, str], http.client.HTTPConnection] = {}


@atexit.register
def close_idle() -> None:
    """Close what is kept open for a next request."""
    while _idle:
        _idle.popitem()[1].close()


class Answer:
    """An answer whose head has come; `left` bytes of its body are to come, None where it did not say."""

    def __init__(
        self,
        place: Tuple[str, str],
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
    ) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.chunked = bool(response.chunked)
        self.left: Optional[int] = response.length
        self._place = place
        self._connection = connection
        self._response = response

    def read(self, most: int) -> bytes:
        """What has come, `most` bytes at most, b"" at the end; raises OSError, HTTPException."""
        # Not read(), which waits until all of it is there; nor beyond the body, where nothing comes.
        piece = self._response.read1(most if self.left is None else min(most, self.left))
        if self.left is not None:
            self.left -= len(piece)
        return piece

    def close(self) -> None:
        """Keep the connection for the next request where the body was read to its end."""
        self._response.close()
        if self.left == 0 and not self._response.will_close:
            _idle[self._place] = self._connection
        else:
            self._connection.close()


def ask(url: str, headers: Mapping[str, str], timeout_s: float, limit_s: float) -> Answer:
    """GET `url`; the head of the answer has to be there within `limit_s`. Raises OSError, HTTPException.

    The socket's own `timeout_s` is for each byte; all of them together are waited for in a thread, which
    alone covers a name that does not resolve, a TLS handshake and a head that drips.
    """
    answers: List[Answer] = []
    failures: List[BaseException] = []

    def get() -> None:
        try:
            answers.append(_get(urlsplit(quote(url, safe=_URL_CHARACTERS)), headers, timeout_s))
        except BaseException as failure:  # noqa: BLE001 (raised again below, in the caller's thread)
            failures.append(failure)

    asking = threading.Thread(target=get, daemon=True)
    asking.start()
    asking.join(limit_s)
    if failures:
        raise failures[0]
    if not answers:
        raise OSError(f"no answer within {limit_s:g} s")
    return answers[0]


def _get(url: SplitResult, headers: Mapping[str, str], timeout_s: float) -> Answer:
    place = (url.scheme, url.netloc)
    kept = _idle.pop(place, None)
    if kept is not None:
        try:
            return _answer(place, kept, url, headers)
        except (ConnectionError, ssl.SSLError, http.client.BadStatusLine):
            kept.close()  # the depot hung up meanwhile, or was started anew
    if url.scheme == "https":
        secure = http.client.HTTPSConnection(
            url.netloc, timeout=timeout_s, context=ssl.create_default_context()
        )
        return _answer(place, secure, url, headers)
    return _answer(place, http.client.HTTPConnection(url.netloc, timeout=timeout_s), url, headers)


def _answer(
    place: Tuple[str, str],
    connection: http.client.HTTPConnection,
    url: SplitResult,
    headers: Mapping[str, str],
) -> Answer:
    try:
        path = url.path or "/"
        connection.request("GET", f"{path}?{url.query}" if url.query else path, headers=dict(headers))
        return Answer(place, connection, connection.getresponse())
    except BaseException:
        connection.close()
        raise
