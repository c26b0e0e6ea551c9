"""Connections as raw bytes see them; the application behind them is a function."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Any, Awaitable, Callable, Dict, Tuple

import pytest

from edgeai_runtime.errors import InputError
from edgeai_runtime.server.http import Answer
from edgeai_runtime.server.limits import Limits
from edgeai_runtime.server.listening import Listening, address_of, bind, inherit
from edgeai_runtime.server.messages import Head, Reply, Response

Streams = Tuple[asyncio.StreamReader, asyncio.StreamWriter]
Client = Callable[[], Awaitable[Streams]]
BOUND_S = 20.0


def mirror(head: Head, body: memoryview, reply: Reply) -> None:
    """Answers with what was understood."""
    sizes = {"size": len(body), "sum": sum(body[::100])}
    told = {"method": head.method, "path": head.path, "headers": dict(head.headers), **sizes}
    reply(Response(200, json.dumps(told).encode()))


def slow_mirror(started: asyncio.Event, finish: asyncio.Event) -> Answer:
    """The mirror, which answers for /slow only when it may finish."""

    def answer(head: Head, body: memoryview, reply: Reply) -> None:
        if head.path == "/slow":
            started.set()
            waiting = asyncio.ensure_future(finish.wait())
            waiting.add_done_callback(lambda _done: mirror(head, body, reply))
        else:
            mirror(head, body, reply)

    return answer


def serve(
    scenario: Callable[[Client, Listening], Awaitable[None]], answer: Answer = mirror, **limits: Any
) -> None:
    """Run a scenario against a listener of its own, within a bounded time."""

    async def run() -> None:
        listener = bind("127.0.0.1:0")
        listening = Listening([listener], answer, Limits(**limits))
        listening.accept()
        host, port = address_of(listener).split(":")
        writers = []

        async def connect() -> Streams:
            reader, writer = await asyncio.open_connection(host, int(port))
            writers.append(writer)
            return reader, writer

        try:
            await asyncio.wait_for(scenario(connect, listening), BOUND_S)
        finally:
            for writer in writers:
                writer.close()
            await asyncio.wait_for(listening.drain(), BOUND_S)
            listening.close()

    asyncio.run(run())


async def read(reader: asyncio.StreamReader) -> Tuple[int, Dict[str, str], Any]:
    """One answer: status, headers, JSON body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, json.loads(body)


def test_a_connection_carries_many_requests() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        for size in (0, 5, 100_000):
            writer.write(b"POST /a?b=c HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            status, headers, told = await read(reader)
            assert (status, headers["connection"]) == (200, "keep-alive")
            assert (told["method"], told["path"]) == ("POST", "/a")
            assert told["size"] == size

    serve(scenario)


@pytest.mark.parametrize(("size", "split"), [(200, 1), (1000, 60), (100_000, 65_000), (100_000, 10**9)])
def test_the_same_head_again_has_another_body(size: int, split: int) -> None:
    """In pieces of any size, and with the next request right behind it."""

    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        head = b"POST /same HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size
        sent = b"".join(head + bytes([number]) * size for number in range(1, 6))
        for begin in range(0, len(sent), split):
            writer.write(sent[begin : begin + split])
            await writer.drain()
        for number in range(1, 6):
            told = (await read(reader))[2]
            assert (told["size"], told["sum"]) == (size, number * len(range(0, size, 100)))
        writer.write(b"GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await read(reader))[2]["path"] == "/other"

    serve(scenario)


@pytest.mark.parametrize(
    "first",
    [
        b"\r\n\r\nPOST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /a HTTP/1.1\nContent-Length: 6\n\nab\r\n\r\n",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nab",
    ],
    ids=["empty lines before", "bare line ends", "chunked", "folded"],
)
def test_a_head_that_is_not_plain_is_read_anew_each_time(first: bytes) -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        for _turn in range(3):
            writer.write(first)
            status, headers, told = await read(reader)
            if status != 200:
                assert headers["connection"] == "close"
                return
            assert told["path"] == "/a"

    serve(scenario)


def test_a_request_may_come_byte_by_byte_and_in_chunks() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        for byte in chunked:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await read(reader))[2]["size"] == 5

    serve(scenario)


def test_requests_sent_ahead_are_answered_in_order() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(50)))
        for number in range(50):
            assert (await read(reader))[2]["path"] == f"/{number}"
        writer.write(b"GET /last HTTP/1.1\r\n\r\n")
        assert (await read(reader))[2]["path"] == "/last"

    serve(scenario)


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
)
def test_a_client_that_wants_to_close_gets_its_answer_and_the_end(request_: bytes) -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(request_)
        status, headers, _body = await read(reader)
        assert (status, headers["connection"]) == (200, "close")
        assert await reader.read() == b""

    serve(scenario)


def test_a_client_that_closed_its_direction_still_gets_its_answer() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        writer.write_eof()
        assert (await read(reader))[2]["path"] == "/1"
        assert (await read(reader))[2]["path"] == "/2"
        assert await reader.read() == b""

    serve(scenario)


def test_an_offer_to_upgrade_is_ignored() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        for body in (b"", b"hello"):
            writer.write(b"POST /1 HTTP/1.1\r\n" + offer + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            told = (await read(reader))[2]
            assert (told["path"], told["size"]) == ("/1", len(body))

    serve(scenario)


def test_a_client_that_waits_for_continue_is_told_to() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await read(reader))[2]["size"] == 3

    serve(scenario)


def test_a_target_may_name_the_host_as_for_a_proxy() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        for target in (b"http://device:8080/v2/health?x=1", b"/v2/health"):
            writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: device\r\n\r\n")
            assert (await read(reader))[2]["path"] == "/v2/health"

    serve(scenario)


def test_what_follows_a_body_says_nothing_about_it() -> None:
    """A field there that names a compression would have the body unpacked."""

    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n")
        writer.write(b"0\r\nContent-Encoding: gzip\r\nA: c\r\n\r\n")
        told = (await read(reader))[2]
        assert (told["size"], told["headers"]) == (3, {"a": "b", "transfer-encoding": "chunked"})

    serve(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 3000, 431),
        (b"GET /" + b"x" * 3000, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1500 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001, 413),
    ],
)
def test_what_is_wrong_or_too_large_is_refused_and_the_connection_ends(sent: bytes, status: int) -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(sent)
        answered, headers, body = await read(reader)
        assert (answered, headers["connection"]) == (status, "close")
        assert body["error"].endswith(".")
        assert await reader.read() == b""

    serve(scenario, head=2000, body=1000)


def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n")
        for _n in range(200):
            writer.write(b"x" * 100_000)
            await writer.drain()
        assert (await read(reader))[0] == 413

    serve(scenario, body=1000, linger_s=BOUND_S)


def test_a_refusal_comes_after_the_answers_before_it() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(b"GET /1 HTTP/1.1\r\n\r\nnonsense\r\n\r\n")
        assert (await read(reader))[2]["path"] == "/1"
        assert (await read(reader))[0] == 400
        assert await reader.read() == b""

    serve(scenario)


@pytest.mark.parametrize("sent", [b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_request_that_does_not_come_to_an_end_times_out(sent: bytes) -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(sent)
        assert (await read(reader))[0] == 408
        assert await reader.read() == b""

    serve(scenario, arrive_s=0.1)


def test_an_idle_connection_is_closed() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        fresh, _writer = await connect()
        used, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await read(used))[0] == 200
        assert await fresh.read() == b""
        assert await used.read() == b""

    serve(scenario, idle_s=0.1)


def test_a_client_that_takes_no_answer_is_dropped() -> None:
    def large(_head: Head, _body: memoryview, reply: Reply) -> None:
        reply(Response(200, b"x" * 50_000_000))

    async def scenario(connect: Client, listening: Listening) -> None:
        _reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 3)
        await writer.drain()
        await listening.drain()  # returns once the connection is gone

    serve(scenario, large, take_s=0.2)


def test_a_client_that_leaves_does_not_disturb_the_others() -> None:
    async def scenario(connect: Client, listening: Listening) -> None:
        started, finish = asyncio.Event(), asyncio.Event()
        holding["events"] = (started, finish)
        _reader, leaving = await connect()
        leaving.write(b"GET /slow HTTP/1.1\r\n\r\n")
        await started.wait()
        leaving.transport.abort()
        reader, writer = await connect()
        writer.write(b"GET /quick HTTP/1.1\r\n\r\n")
        assert (await read(reader))[2]["path"] == "/quick"
        finish.set()
        writer.write(b"GET /again HTTP/1.1\r\n\r\n")
        assert (await read(reader))[2]["path"] == "/again"

    holding: Dict[str, Any] = {}

    def answer(head: Head, body: memoryview, reply: Reply) -> None:
        slow_mirror(*holding["events"])(head, body, reply)

    serve(scenario, answer)


def test_more_connections_than_allowed_wait_in_the_backlog() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        async def one() -> None:
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert (await read(reader))[0] == 200
            assert await reader.read() == b""
            writer.close()

        await asyncio.gather(*(one() for _turn in range(40)))

    serve(scenario, connections=3)


@pytest.mark.parametrize(
    ("sent", "farewell"),
    [(b"", b""), (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200"), (b"POST / HT", b"HTTP/1.1 408")],
    ids=["that says nothing", "that is idle", "that sends slowly"],
)
def test_a_client_makes_room_for_those_that_wait(sent: bytes, farewell: bytes) -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        crowd = [await connect() for _turn in range(3)]
        for _reader, writer in crowd:
            writer.write(sent)
        reader, writer = await connect()
        writer.write(b"GET /late HTTP/1.1\r\n\r\n")
        assert (await read(reader))[2]["path"] == "/late"
        ended = asyncio.ensure_future(crowd[0][0].read())
        assert (await ended).startswith(farewell)

    serve(scenario, connections=3, yield_s=0.1, hurry_s=0.1, linger_s=0.1)


def test_no_client_makes_room_while_it_waits_for_us() -> None:
    async def scenario(connect: Client, _listening: Listening) -> None:
        started, finish = asyncio.Event(), asyncio.Event()
        holding["events"] = (started, finish)
        first, writer = await connect()
        writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
        await started.wait()
        second, writer = await connect()
        writer.write(b"GET /quick HTTP/1.1\r\n\r\n")
        late = asyncio.ensure_future(read(second))
        done, _waiting = await asyncio.wait([late], timeout=0.2)
        assert not done
        finish.set()
        assert (await read(first))[2]["path"] == "/slow"
        assert (await late)[2]["path"] == "/quick"

    holding: Dict[str, Any] = {}

    def answer(head: Head, body: memoryview, reply: Reply) -> None:
        slow_mirror(*holding["events"])(head, body, reply)

    serve(scenario, answer, connections=1, yield_s=0.01, hurry_s=0.01)


def test_a_crowd_at_one_listener_keeps_nobody_from_another() -> None:
    async def scenario() -> None:
        listeners = [bind("127.0.0.1:0") for _listener in "ab"]
        listening = Listening(listeners, mirror, Limits(connections=2, yield_s=BOUND_S))
        listening.accept()
        crowded, other = (listener.getsockname() for listener in listeners)
        crowd = [await asyncio.open_connection(*crowded) for _turn in range(4)]
        reader, writer = await asyncio.open_connection(*other)
        writer.write(b"GET /other HTTP/1.1\r\n\r\n")
        assert (await read(reader))[2]["path"] == "/other"
        for _reader, each in [*crowd, (reader, writer)]:
            each.close()
        await listening.drain()
        listening.close()

    asyncio.run(asyncio.wait_for(scenario(), BOUND_S))


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_bodies_under_way_are_held_up_to_a_limit_of_all_together(chunked: bool) -> None:
    head = b"POST /large HTTP/1.1\r\nContent-Length: 6000\r\n\r\n"
    part = b"x" * 4000
    if chunked:
        head = b"POST /large HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        part = b"1770\r\n" + part

    async def scenario(connect: Client, _listening: Listening) -> None:
        async def ask(request_: bytes) -> Tuple[int, Any]:
            reader, writer = await connect()
            writer.write(request_)
            status, _headers, body = await read(reader)
            return status, body

        small = b"POST /small HTTP/1.1\r\nContent-Length: 900\r\n\r\n" + b"x" * 900
        whole = head + part + b"x" * 2000 + b"\r\n0\r\n\r\n" * chunked
        _reader, unfinished = await connect()
        unfinished.write(head + part)
        assert (await ask(small))[0] == 200  # the bytes before it have arrived as well
        status, body = await ask(whole)
        assert status == 429
        assert "under way already" in body["error"]
        assert (await ask(small))[0] == 200
        unfinished.close()
        while (await ask(whole))[0] != 200:
            pass

    serve(scenario, bodies=7000, small=1000, linger_s=0.1)


def test_draining_answers_what_is_on_its_way_and_takes_nothing_new() -> None:
    holding: Dict[str, Any] = {}

    def answer(head: Head, body: memoryview, reply: Reply) -> None:
        slow_mirror(holding["started"], holding["finish"])(head, body, reply)

    async def scenario(connect: Client, listening: Listening) -> None:
        holding.update(started=asyncio.Event(), finish=asyncio.Event())
        busy, idle, half, fresh = [await connect() for _turn in range(4)]
        for reader, writer in (idle, half):
            writer.write(b"GET /before HTTP/1.1\r\n\r\n")
            assert (await read(reader))[1]["connection"] == "keep-alive"
        busy[1].write(b"GET /slow HTTP/1.1\r\n\r\n")
        await holding["started"].wait()
        half[1].write(b"POST /half HTTP/1.1\r\nContent-Length: 4\r\n\r\nab")
        draining = asyncio.ensure_future(listening.drain())
        await asyncio.sleep(0)
        # In flight, half arrived, idle, and never used: all four are answered, with "close".
        half[1].write(b"cd")
        idle[1].write(b"GET /idle HTTP/1.1\r\n\r\n")
        fresh[1].write(b"GET /fresh HTTP/1.1\r\n\r\n")
        holding["finish"].set()
        for (reader, _writer), path in zip((busy, half, idle, fresh), ("/slow", "/half", "/idle", "/fresh")):
            status, headers, told = await read(reader)
            assert (status, headers["connection"], told["path"]) == (200, "close", path)
            assert await reader.read() == b""
        for _reader, writer in (busy, half, idle, fresh):
            writer.close()
        await draining
        # The listener is open, nobody accepts: a new connection waits for the next process.
        reader, writer = await connect()
        writer.write(b"GET /new HTTP/1.1\r\n\r\n")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)

    serve(scenario, answer)


def test_draining_closes_quiet_connections_after_a_while() -> None:
    async def scenario(connect: Client, listening: Listening) -> None:
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await read(reader))[0] == 200
        await listening.drain()
        assert await reader.read() == b""

    serve(scenario, quiet_s=0.1, linger_s=0.1)


def test_draining_waits_for_no_connection_that_somebody_else_made() -> None:
    async def scenario(_connect: Client, listening: Listening) -> None:
        ours, theirs = socket.socketpair()
        listening.adopt(theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await read(reader))[0] == 200
        await listening.drain()
        assert await reader.read() == b""
        writer.close()

    serve(scenario, quiet_s=10 * BOUND_S, linger_s=10 * BOUND_S)


def test_an_address_is_bound_once() -> None:
    with bind("127.0.0.1:0") as listener, pytest.raises(InputError, match="cannot serve there"):
        bind(address_of(listener))
    with pytest.raises(InputError, match="no address"):
        bind("9001")


def test_a_descriptor_that_does_not_listen_is_refused() -> None:
    with socket.socket() as deaf, pytest.raises(InputError, match="no listening socket"):
        inherit(os.dup(deaf.fileno()))
