# NOTE to helper "serving": the lead wrote this while you were silent (12:30); it may have replaced yours.
# You own it again: keep or rewrite, and remove this note.
"""The serving process: load a generation, serve it, drain without losing a request."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import List, Optional, Sequence

from edgeai_runtime.errors import EdgeAIError, InputError
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.paths import Paths
from edgeai_runtime.server.app import App
from edgeai_runtime.server.control import Control
from edgeai_runtime.server.limits import Limits
from edgeai_runtime.server.listening import Listening, address_of, bind, inherit
from edgeai_runtime.serving.repository import Generation, load_generation

HEARTBEAT_S = 1.0


def run(
    paths: Paths,
    generation: Path,
    http: Optional[str] = None,
    listen_fds: Sequence[int] = (),
    control_fd: Optional[int] = None,
) -> None:
    """Serve the generation directory until told to drain (command, SIGTERM, or the parent is gone).

    On `http` ("host:port") it accepts at once; on `listen_fds`, listening sockets of the parent,
    only after the command "accept". Raises InputError, BackendError; the parent is told first.
    """
    control = Control(control_fd)
    try:
        if bool(http) == bool(listen_fds):
            raise InputError(
                "Where to serve is said either with --http or with --listen-fd; give one of them."
            )
        listeners = [inherit(fd) for fd in listen_fds] if listen_fds else [bind(str(http))]
        loaded = load_generation(generation)
    except EdgeAIError as error:
        control.send("failed", message=error.message)
        raise
    asyncio.run(_Serving(loaded, listeners, control, at_once=bool(http)).run())


class _Serving:
    """One run of the event loop."""

    def __init__(
        self, generation: Generation, listeners: List[socket.socket], control: Control, at_once: bool
    ) -> None:
        self._generation = generation
        self._listeners = listeners
        self._control = control
        self._at_once = at_once

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        sampler = Sampler({model.name: model.version for model in self._generation.models.values()})
        app = App(self._generation, sampler)
        self._listening = Listening(self._listeners, app.answer, Limits())
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        self._control.listen({"accept": self._accept, "drain": ended.set}, gone=ended.set)
        address = address_of(self._listeners[0])
        self._control.send("ready", address=address, warmup_ms=round(self._generation.warmup_ms, 1))
        if self._at_once:
            self._accept()
            print(f"edgeai serves on http://{address}", file=sys.stderr, flush=True)
        heartbeats = loop.create_task(self._beat(sampler))
        await ended.wait()
        await self._listening.drain()
        heartbeats.cancel()
        self._listening.close()
        app.close()
        self._control.send("drained")
        self._control.close()

    def _accept(self) -> None:
        self._listening.accept()
        self._control.send("accepting")

    async def _beat(self, sampler: Sampler) -> None:
        while True:
            self._control.send(**sampler.heartbeat())
            await asyncio.sleep(HEARTBEAT_S)
