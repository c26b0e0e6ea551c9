"""A stand-in for the serving process: the keeper's control protocol and real HTTP, standard library only.

It runs as `opt/edgeai/envs/<digest>/bin/python` of a test's device and behaves as the file
`mode.json` in its generation's directory says. Keys (all optional):
fail (sentence: says "failed"), crash_at_start, never_ready, refuse_accept, crash_after (requests),
no_heartbeat, hang_after (requests: stops answering and beating), error_every (each n-th answer is 500),
ready_when (a file's path: ready once it exists), slow_s (seconds an answer takes), one_by_one (the next
request waits for the answer), text (its answer), wrong_after (requests: then it answers something else),
stuck_after (requests: then it answers nothing more, and beats on), deaf_after (requests: then it accepts
nobody more, and beats on), p99_ms (what it says of its times).
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import signal
import socket
import time
from pathlib import Path

HEARTBEAT_S = 0.05
QUIET_S = 0.5


class Connection:
    busy = True


class StandIn:
    def __init__(self, options):
        directory = Path(options.generation)
        self.generation = int(directory.name)
        path = directory / "mode.json"
        self.mode = json.loads(path.read_text()) if path.exists() else {}
        self.listeners = [socket.socket(fileno=number) for number in options.listen_fd]
        self.control = socket.socket(fileno=options.control_fd)
        self.aside = socket.socket(fileno=options.probe_fd)
        self.requests = self.errors = 0
        self.open = set()
        self.draining = asyncio.Event()
        self.turn = asyncio.Lock()
        self.tasks = set()

    def run_beside(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)  # asyncio itself holds tasks weakly
        task.add_done_callback(self.tasks.discard)

    def tell(self, event, **fields):
        self.writer.write(json.dumps({"event": event, **fields}).encode() + b"\n")

    async def run(self):
        reader, self.writer = await asyncio.open_connection(sock=self.control)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.draining.set)
        if "fail" in self.mode:
            self.tell("failed", message=self.mode["fail"])
            await self.writer.drain()
            raise SystemExit(1)
        if self.mode.get("never_ready"):
            await asyncio.Event().wait()
        while not Path(self.mode.get("ready_when", "/")).exists():
            await asyncio.sleep(0.01)
        self.run_beside(self.serve(self.aside, Connection()))
        self.tell("ready", address="127.0.0.1:0", warmup_ms=1.0)
        self.run_beside(self.obey(reader))
        self.run_beside(self.beat())
        await self.draining.wait()
        for listener in self.listeners:
            asyncio.get_running_loop().remove_reader(listener)
        quiet_since = time.monotonic()
        while self.open and time.monotonic() - quiet_since < QUIET_S:
            await asyncio.sleep(0.01)
            if any(connection.busy for connection in self.open):
                quiet_since = time.monotonic()
        self.tell("drained")
        with contextlib.suppress(ConnectionError):  # the keeper may be gone
            await self.writer.drain()

    async def obey(self, reader):
        while True:
            try:
                line = await reader.readline()
            except ConnectionError:  # it was told something when nobody was there any more
                line = b""
            command = json.loads(line)["command"] if line else "drain"
            if command == "accept" and not self.mode.get("refuse_accept"):
                for listener in self.listeners:
                    asyncio.get_running_loop().add_reader(listener, self.accept, listener)
                self.tell("accepting")
            if command == "drain":
                self.draining.set()
                return

    async def beat(self):
        while not self.mode.get("no_heartbeat"):
            busy = sum(connection.busy for connection in self.open)
            p99 = self.mode.get("p99_ms")
            timed = 1000 if p99 else 0
            counted = {"requests": self.requests, "errors": self.errors, "timed": timed, "p99_ms": p99}
            self.tell("heartbeat", in_flight=busy, p50_ms=None, **counted)
            await asyncio.sleep(HEARTBEAT_S)

    def accept(self, listener):
        """What is accepted counts as open at once: a drain that comes next waits for it."""
        with contextlib.suppress(BlockingIOError):  # the other generation was faster
            accepted, _peer = listener.accept()
            connection = Connection()
            self.open.add(connection)
            self.run_beside(self.serve(accepted, connection))

    async def serve(self, accepted, connection):
        reader, writer = await asyncio.open_connection(sock=accepted)
        try:
            while True:
                connection.busy = False
                head = await reader.readuntil(b"\r\n\r\n")
                connection.busy = True
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                async with self.turn if self.mode.get("one_by_one") else contextlib.AsyncExitStack():
                    await asyncio.sleep(self.mode.get("slow_s", 0))
                if self.requests >= self.mode.get("stuck_after", math.inf):
                    await asyncio.Event().wait()
                last = self.draining.is_set()  # asked once: what is closed was announced as closing
                writer.write(self.answer(last, probed=b"x-edgeai-probe" in head.lower()))
                await writer.drain()
                if last:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(connection)
            writer.close()

    def answer(self, last, probed):
        self.requests += not probed
        if not probed and self.requests == self.mode.get("crash_after"):
            os._exit(3)
        if not probed and self.requests == self.mode.get("hang_after"):
            time.sleep(3600)
        failed = not probed and self.requests % self.mode.get("error_every", 10**9) == 0
        self.errors += failed
        wrong = self.requests >= self.mode.get("wrong_after", math.inf)
        output = {"name": "text", "data": ["wrong" if wrong else self.mode.get("text", "right")]}
        if self.requests == self.mode.get("deaf_after"):
            for listener in self.listeners:
                asyncio.get_running_loop().remove_reader(listener)
        body = {"generation": self.generation, "pid": os.getpid(), "outputs": [output]}
        body = json.dumps(body).encode()
        status = "500 Internal Server Error" if failed else "200 OK"
        close = "Connection: close\r\n" if last else ""
        return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{close}\r\n".encode() + body


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", dest="module")
    parser.add_argument("--root")
    parser.add_argument("command")
    parser.add_argument("--generation")
    parser.add_argument("--listen-fd", type=int, action="append", default=[])
    parser.add_argument("--control-fd", type=int)
    parser.add_argument("--probe-fd", type=int)
    options = parser.parse_args()
    standin = StandIn(options)
    if standin.mode.get("crash_at_start"):
        raise SystemExit(3)
    environment = {name: os.environ.get(name) for name in ("ORT_DISABLE_TELEMETRY", "NOTIFY_SOCKET")}
    with contextlib.suppress(OSError):  # another user's temporary root it may not even enter
        Path(options.root, "var/lib/edgeai/tuning/seen.json").write_text(json.dumps(environment))
    await standin.run()


if __name__ == "__main__":
    asyncio.run(main())
