"""One HTTP/1.1 connection: requests in, answers out in the same order, one at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Awaitable, Callable, Deque, Dict, List, Optional, Union

import httptools

from edgeai_runtime.server.limits import Limits
from edgeai_runtime.server.messages import REASONS, Request, Response, error_response

Answer = Callable[[Request], Awaitable[Response]]


class Connection(asyncio.Protocol):
    """Parses with httptools and answers through `answer`, which must not raise.

    A connection is always waiting for exactly one thing: the client (to begin, to finish a request,
    to take an answer, to close) under a deadline, or our own answer without one.
    """

    def __init__(
        self,
        answer: Answer,
        limits: Limits,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self._answer = answer
        self._limits = limits
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._parser = httptools.HttpRequestParser(self)
        # Whole requests and, behind them, at most one refusal after which the client is not heard.
        self._queue: Deque[Union[Request, Response]] = deque()
        self._task: Optional[asyncio.Task[None]] = None
        self._headers: Dict[str, str] = {}
        self._body: List[bytes] = []
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
        self._opened(self)
        self._wait_for_client()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._stop_waiting()
        self._deaf = True
        self._queue.clear()
        self._finishing = True
        self._closed(self)

    def eof_received(self) -> bool:
        self._client_done = True
        # A client may close its direction and still read: what is whole gets its answer.
        return self._task is not None or bool(self._queue)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._next()

    def data_received(self, data: bytes) -> None:
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
            data = rest
        if self._queue and self._task is not None:
            # The client sends ahead: let it wait, its requests are answered one at a time.
            self._transport.pause_reading()
        if self._queue:
            self._next()

    # What httptools tells us.

    def on_message_begin(self) -> None:
        self._begin()
        self._arriving = True
        if self._task is None:
            self._wait(self._limits.arrive_s, self._too_slow)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_size += len(name) + len(value)
        if self._headers_size > self._limits.head:
            self._refuse_head()
        self._headers[name.lower().decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unparsed = 0
        self._upgrading = self._parser.should_upgrade()
        if self._upgrading:
            return
        length = self._headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limits.body:
            self._refuse_body()
        elif self._headers.get("expect", "").lower() == "100-continue" and self._task is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._limits.body:
            self._refuse_body()
        if not self._deaf:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self._arriving = False
        self._in_head = True
        if self._deaf or self._upgrading:
            return
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=self._url.split(b"?", 1)[0].decode("latin-1"),
            headers=self._headers,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            keep_alive=self._parser.should_keep_alive(),
        )
        self._body = []
        self._queue.append(request)

    # What the listener tells us.

    def drain(self) -> None:
        """Answer what is on its way here, then close."""
        self._draining = True
        if self._task is None and not self._queue and not self._arriving and not self._finishing:
            self._wait_for_client()

    # Answering.

    def _next(self) -> None:
        if self._task is not None or self._finishing:
            return
        if not self._queue or not self._writable:
            self._wait_for_client()
            return
        self._stop_waiting()
        item = self._queue.popleft()
        if isinstance(item, Response):
            self._send(item, keep_alive=False)
        else:
            self._task = self._loop.create_task(self._answer_to(item))

    async def _answer_to(self, request: Request) -> None:
        response = await self._answer(request)
        self._task = None
        if not self._transport.is_closing():
            self._send(response, request.keep_alive)

    def _send(self, response: Response, keep_alive: bool) -> None:
        more = bool(self._queue)
        close = not keep_alive or ((self._draining or self._client_done) and not more)
        lines = [
            f"HTTP/1.1 {response.status} {REASONS[response.status]}",
            f"Content-Type: {response.content_type}",
            f"Content-Length: {len(response.body)}",
            f"Connection: {'close' if close else 'keep-alive'}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
            "\r\n",
        ]
        self._transport.write("\r\n".join(lines).encode("latin-1") + response.body)
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
            self._queue.append(error_response(status, message))

    def _refuse_head(self) -> None:
        self._refuse(431, f"The headers are larger than {self._limits.head} bytes; send fewer.")

    def _refuse_body(self) -> None:
        self._refuse(413, f"The body is larger than {self._limits.body >> 20} MiB; send a smaller one.")

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
        self._upgrading = False
        self._body = []
        self._body_size = 0

    # Waiting for the client.

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_waiting()
        self._timer = self._loop.call_later(seconds, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for_client(self) -> None:
        if self._transport.get_write_buffer_size():
            self._wait(self._limits.take_s, self._untaken)
        elif self._arriving:
            self._wait(self._limits.arrive_s, self._too_slow)
        else:
            self._wait(self._limits.quiet_s if self._draining else self._limits.idle_s, self._finish)

    def _untaken(self) -> None:
        """The client had its time to take the answer."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._wait_for_client()

    def _too_slow(self) -> None:
        self._refuse(408, f"The request did not arrive within {self._limits.arrive_s:g} s; send it faster.")
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
        try:
            self._transport.write_eof()
        except OSError:  # the client is gone already
            self._transport.abort()
            return
        self._transport.resume_reading()
        pending = self._transport.get_write_buffer_size()
        self._wait(self._limits.take_s if pending else self._limits.linger_s, self._transport.abort)
