"""One HTTP/1.1 connection: requests in, answers out in the same order, one at a time."""

from __future__ import annotations

import asyncio
import math
import socket
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

import httptools

from edgeai_runtime.server.limits import MOST_DIGITS, Held, Limits
from edgeai_runtime.server.messages import REASONS, Head, Reply, Response, error_response

Answer = Callable[[Head, memoryview, Reply], None]
_JOIN = 16 << 10  # bytes up to which copying an answer is cheaper than a second system call
_SKIPPABLE = 4 << 10  # bytes of a head that is remembered


class _Skipped(NamedTuple):
    """A head that is known byte for byte, what the parser made of it, and the size of the body behind it."""

    raw: bytes
    head: Head
    body: int


def _path(url: bytes) -> str:
    """Of a target, which may have a host in front as for a proxy (RFC 9112, 3.2.2)."""
    if not url.startswith(b"/") and b"://" in url:
        url = b"/" + url.partition(b"://")[2].partition(b"/")[2]
    return url.split(b"?", 1)[0].decode("latin-1")


def _head(status: int, content_type: str, size: int, headers: Mapping[str, str], close: bool) -> bytes:
    further = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {size}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n{further}\r\n"
    ).encode("latin-1")


class Connection(asyncio.Protocol):
    """Parses with httptools and answers through `answer`, which must not raise.

    A connection is always waiting for exactly one thing: the client (to begin, to finish a request,
    to take an answer, to close) under a deadline, or our own answer without one. A head that comes
    again byte for byte, as clients send them, is not parsed again.
    """

    def __init__(
        self,
        answer: Answer,
        limits: Limits,
        held: Held,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self._answer = answer
        self._limits = limits
        self._all_held, self._held = held, 0
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._since = self._deadline = 0.0  # what is waited for now
        self._overdue: Optional[Callable[[], None]] = None
        self._parser = httptools.HttpRequestParser(self)
        # Whole requests and, behind them, at most one refusal after which the client is not heard.
        self._queue: Deque[Union[Tuple[Head, memoryview], Response]] = deque()
        self._busy = False  # a request is being answered
        self._answering = False  # within _next
        self._bodiless = False  # what is answered has no body, whatever the answer's length
        self._skipped: Optional[_Skipped] = None
        self._told: Tuple[Any, ...] = ()  # what the head of the last answer was made of
        self._told_head = b""
        self._chunk = b""  # what the parser is being fed, where a request begins with it
        self._behind: List[bytes] = []  # what came of the body behind a known head
        self._left = 0  # bytes of it that are missing
        self._headers: Dict[str, str] = {}
        self._body: Union[bytes, bytearray] = b""
        self._draining = False
        self._arriving = False  # a request has begun and is not whole
        self._in_head = True
        self._unparsed = 0  # bytes of a head that is not whole yet
        self._deaf = False  # what still comes is read and thrown away
        self._client_done = False  # the client closed its direction
        self._writable = True
        self._finishing = False
        self._begin()

    # What asyncio tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._local = transport.get_extra_info("socket").family == socket.AF_UNIX
        self._opened(self)
        self._wait_for_client()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._stop_waiting()
        self._deaf = True
        self._queue.clear()
        self._release()
        self._finishing = True
        self._closed(self)

    def eof_received(self) -> bool:
        self._client_done = True
        # A client may close its direction and still read: what is whole gets its answer.
        return self._transport.can_write_eof() and (self._busy or bool(self._queue))

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._next()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._left:
            data = self._more_behind(data)
        elif self._skipped is not None and not self._arriving and data.startswith(self._skipped.raw):
            data = self._skip(self._skipped, data)
        if data:
            self._parse(data)
        if self._queue and self._busy:
            # The client sends ahead: let it wait, its requests are answered one at a time.
            self._transport.pause_reading()
        elif self._queue:
            self._next()

    def _skip(self, known: _Skipped, data: bytes) -> bytes:
        """Take what follows a known head for its body; returns what follows that."""
        end = len(known.raw) + known.body
        if len(data) >= end:
            self._queue.append((known.head, memoryview(data)[len(known.raw) : end]))
            return data[end:]
        self._arriving = True
        self._behind = [data[len(known.raw) :]]
        self._left = end - len(data)
        if known.body > self._limits.small:
            self._hold(known.body)
        if not self._busy:
            self._wait(self._limits.arrive_s, self._too_slow)
        return b""

    def _more_behind(self, data: bytes) -> bytes:
        """The rest of a body behind a known head; returns what follows it."""
        assert self._skipped is not None
        if self._deaf:
            return b""
        self._behind.append(data[: self._left])
        taken = len(self._behind[-1])
        self._left -= taken
        if not self._left:
            self._arriving = False
            self._queue.append((self._skipped.head, memoryview(b"".join(self._behind))))
            self._behind = []
        return data[taken:]

    def _parse(self, data: bytes) -> None:
        self._chunk = b"" if self._arriving else data
        while data and not self._deaf:
            if self._in_head:
                self._unparsed += len(data)
            rest = b""
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                rest = self._without_upgrade() + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(400, f"This is not HTTP/1.1 ({error}); send a proper request.")
            if self._in_head and self._unparsed > self._limits.head:
                self._refuse_head()
            self._chunk = b""
            data = rest

    # What httptools tells us.

    def on_message_begin(self) -> None:
        self._begin()
        self._arriving = True
        if not self._busy:
            self._wait(self._limits.arrive_s, self._too_slow)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        self._headers_size += len(name) + len(value)
        if self._headers_size > self._limits.head:
            self._refuse_head()
        if self._in_head:  # what follows a body says nothing about it any more
            self._headers[name.lower().decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unparsed = 0
        self._upgrading = self._parser.should_upgrade()
        if self._upgrading:
            return
        length = self._headers.get("content-length", "0")
        if length.isdecimal() and (len(length) > MOST_DIGITS or int(length) > self._limits.body):
            self._refuse_body()
        elif self._headers.get("expect", "").lower() == "100-continue" and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._limits.body:
            self._refuse_body()
        elif self._body_size > self._limits.small:
            self._hold(len(body))
        if self._deaf:
            return
        if isinstance(self._body, bytearray):
            self._body += body
        else:  # the first piece is mostly all of it
            self._body = bytearray(self._body) + body if self._body else body

    def on_message_complete(self) -> None:
        self._arriving = False
        self._in_head = True
        if self._deaf or self._upgrading:
            return
        head = Head(
            self._parser.get_method().decode("latin-1"),
            _path(self._url),
            self._headers,
            self._parser.should_keep_alive(),
            self._local,
        )
        self._learn(head)
        self._queue.append((head, memoryview(self._body)))
        self._body = b""

    def _learn(self, head: Head) -> None:
        """Remember a head that lies whole at the beginning of what was received."""
        raw, end, _behind = self._chunk.partition(b"\r\n\r\n")
        self._chunk = b""  # what comes after it in the same piece does not begin there
        usual = head.keep_alive and not {"transfer-encoding", "expect"} & head.headers.keys()
        # What the parser forgives (empty lines before, other line ends, folded lines) is left to it.
        plain = raw.startswith(head.method.encode()) and raw.count(b"\n") == raw.count(b"\r\n") == self._lines
        length = head.headers.get("content-length", "0")
        if end and usual and plain and len(raw) < _SKIPPABLE and length.isdecimal():
            self._skipped = _Skipped(raw + end, head, int(length))

    # What the listener tells us.

    def drain(self) -> None:
        """Answer what is on its way here, then close."""
        self._draining = True
        if not self._busy and not self._queue and not self._arriving and not self._finishing:
            self._wait_for_client()

    @property
    def leaves(self) -> bool:
        """Whether it has nothing more to do than to end."""
        return self._finishing

    def overstays_s(self) -> float:
        """For how many seconds it has been kept longer than it may while others wait for its place; negative
        before that, and while it is us who are waited for."""
        if self._overdue is None:
            return -math.inf
        allowed = self._limits.yield_s if self._overdue == self._finish else self._limits.hurry_s
        return self._loop.time() - self._since - allowed

    def give_way(self) -> None:
        """Do at once what would be done when the client's time was over."""
        if self._overdue is not None:
            then, self._overdue = self._overdue, None
            then()

    def forget(self) -> None:
        """Whatever was found to answer these requests is found anew."""
        known = [self._skipped.head] if self._skipped is not None else []
        for head in [*known, *[item[0] for item in self._queue if not isinstance(item, Response)]]:
            head.handler = None

    # Answering.

    def _next(self) -> None:
        if self._answering:
            return  # an answer came at once: the loop below goes on with the next request
        self._answering = True
        while not self._busy and not self._finishing:
            if not self._queue or not self._writable:
                self._wait_for_client()
                break
            self._overdue = None
            item = self._queue.popleft()
            if isinstance(item, Response):
                self._bodiless = False
                self._send(item, keep_alive=False)
            else:
                self._busy = True
                self._keep_alive = item[0].keep_alive
                self._bodiless = item[0].method == "HEAD"
                self._answer(item[0], item[1], self._reply)
        self._answering = False

    def _reply(self, response: Response) -> None:
        self._busy = False
        if self._held and not self._queue and not self._arriving:
            self._release()
        if not self._finishing and not self._is_gone():
            self._send(response, self._keep_alive)

    def _send(self, response: Response, keep_alive: bool) -> None:
        more = bool(self._queue)
        close = not keep_alive or ((self._draining or self._client_done) and not more)
        body = response.body
        told = (response.status, response.content_type, len(body), response.headers, close)
        if told != self._told:  # it rarely is: who asks alike is answered alike
            self._told, self._told_head = told, _head(*told)
        head = self._told_head
        if self._bodiless:
            self._transport.write(head)
        elif len(body) <= _JOIN:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        if close:
            self._finish()
        else:
            if not more:
                self._transport.resume_reading()
            self._next()

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error after what is queued, and hear nothing more from this client."""
        if not self._deaf:
            self._deaf = True
            self._arriving = False
            self._left, self._behind, self._body = 0, [], b""
            self._queue.append(error_response(status, message))

    def _refuse_head(self) -> None:
        self._refuse(431, f"The headers are larger than {self._limits.head} bytes; send fewer.")

    def _refuse_body(self) -> None:
        self._refuse(413, f"The body is larger than {self._limits.body / 1e6:g} MB; send a smaller one.")

    def _hold(self, size: int) -> None:
        """Count bytes of a body that is not small, and refuse it where all together are too many."""
        self._held += size
        too_many = self._all_held.take(size)
        if too_many:
            self._refuse(429, too_many)
            self._release()

    def _release(self) -> None:
        self._all_held.give(self._held)
        self._held = 0

    def _without_upgrade(self) -> bytes:
        """The head of a request that offers another protocol, without the offer.

        We may ignore the offer (RFC 9110, 7.8), but the parser takes what follows such a head, even
        a body, for the other protocol. Java's HttpClient offers h2c with every first request.
        """
        method = self._parser.get_method()
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._refuse(400, "This is no proxy; send a request to /v2.")
            return b""
        kept = {name: value for name, value in self._headers.items() if name not in ("upgrade", "connection")}
        lines = [f"{name}: {value}" for name, value in kept.items()]
        return method + b" " + self._url + b" HTTP/1.1\r\n" + "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    def _begin(self) -> None:
        self._url = b""
        self._headers = {}
        self._headers_size = 0
        self._lines = 0
        self._upgrading = False
        self._body = b""
        self._body_size = 0

    # Before it tells us that a client with TLS is gone, Python 3.8 has no transport left to ask.

    def _is_gone(self) -> bool:
        try:
            return self._transport.is_closing()
        except AttributeError:
            return True

    def _unsent(self) -> int:
        """Bytes of answers that the client has not taken."""
        try:
            return self._transport.get_write_buffer_size()
        except AttributeError:
            return 0

    # Waiting for the client.

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        # A deadline that moves away leaves the timer alone, which looks again when it fires: setting one
        # anew for every request would cost more than reading the request.
        self._since = self._loop.time()
        self._deadline = self._since + seconds
        self._overdue = then
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._overdue is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
        else:
            then, self._overdue = self._overdue, None
            then()

    def _stop_waiting(self) -> None:
        self._overdue = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for_client(self) -> None:
        if self._unsent():
            self._wait(self._limits.take_s, self._untaken)
        elif self._arriving:
            self._wait(self._limits.arrive_s, self._too_slow)
        else:
            self._wait(self._limits.quiet_s if self._draining else self._limits.idle_s, self._finish)

    def _untaken(self) -> None:
        """The client had its time to take the answer."""
        if self._unsent():
            self._transport.abort()
        else:
            self._wait_for_client()

    def _too_slow(self) -> None:
        self._refuse(408, "The request took too long to arrive; send it faster.")
        self._next()

    def _finish(self) -> None:
        """Close our direction first and wait for the client to close its own: closing a socket with
        unread bytes in it would reset the connection and could take the last answer with it."""
        if self._finishing:
            return
        self._finishing = self._deaf = True
        if self._client_done:
            self._transport.close()
            return
        if not self._transport.can_write_eof():  # TLS says itself that an end is one
            self._transport.close()
            self._wait(self._limits.take_s, self._transport.abort)
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client is gone already
            self._transport.abort()
            return
        self._transport.resume_reading()
        pending = self._unsent()
        self._wait(self._limits.take_s if pending else self._limits.linger_s, self._transport.abort)
