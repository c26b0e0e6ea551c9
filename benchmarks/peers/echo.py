"""Sends part of a request back, on the runtime's own event loop and HTTP parser: the transport's floor.

It stands on what edgeai_runtime.server stands on; when that changes, this changes with it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List, Sequence

from benchmarks.environments import Environment, locked
from benchmarks.peers.base import Peer, program

if TYPE_CHECKING:
    from benchmarks.networks import Network


class Echo(Peer):
    name = "echo"
    title = "bare echo"
    package = "httptools"
    networks = ("mlp",)  # where the transport is what counts
    infers = False

    def requirements(self) -> Sequence[str]:
        return [locked("httptools"), locked("numpy")]

    def command(self, environment: Environment, network: Network, port: int, work: Path) -> List[str]:
        return program("benchmarks.peers.echo", environment, network, port, 4 * network.classes)


async def serve(port: int, size: int) -> None:
    """Answer with the first `size` bytes of a body: as many as the network's output has."""
    import httptools

    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport
            self._parser = httptools.HttpRequestParser(self)
            self._body: List[bytes] = []

        def data_received(self, data: bytes) -> None:
            self._parser.feed_data(data)

        def on_body(self, body: bytes) -> None:
            self._body.append(body)

        def on_message_complete(self) -> None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body = []
            self._transport.write(head + body[:size])

    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[5]), int(sys.argv[6])))
