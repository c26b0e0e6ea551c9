"""The life of a serving process: load, say ready, accept, drain, exit."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from edgeai_runtime.errors import BackendError, DamagedError, EdgeAIError, InputError
from edgeai_runtime.monitor.sampler import Sampler
from edgeai_runtime.monitor.watch import Watch, watch_device
from edgeai_runtime.paths import Paths
from edgeai_runtime.server.app import App
from edgeai_runtime.server.control import Control
from edgeai_runtime.server.limits import Limits
from edgeai_runtime.server.listening import Listening, address_of, bind, inherit
from edgeai_runtime.serving.batching import Batching, measure
from edgeai_runtime.serving.cache import Cache
from edgeai_runtime.serving.memory import release_freed_memory
from edgeai_runtime.serving.repository import Generation, load_generation

HEARTBEAT_S = 1.0
_log = logging.getLogger("edgeai.server")


def run(
    paths: Paths,
    generation: Optional[Path] = None,
    http: Optional[str] = None,
    listen_fds: Sequence[int] = (),
    control_fd: Optional[int] = None,
    probe_fd: Optional[int] = None,
    limits: Optional[Limits] = None,
) -> None:
    """Serve a generation's directory (None: the device's current one) until told to drain.

    Serves on `http` ("host:port") at once, or on inherited listening sockets: these with a
    `control_fd` only after the command "accept". Whoever holds the other end of the connection
    `probe_fd` is answered from the event "ready" on. Told to drain by the command, by SIGTERM or
    SIGINT, or by the end of the control channel.
    Raises EdgeAIError when the generation cannot be served; the parent is told before.
    """
    if bool(http) == bool(listen_fds):
        raise InputError("Where to serve is said with --http or with --listen-fd; give exactly one of them.")
    logging.basicConfig(stream=sys.stderr, format="edgeai: %(message)s", level=logging.WARNING)
    directory = generation or paths.current
    process = _Process(paths, directory, http, listen_fds, control_fd, probe_fd, limits or Limits())
    asyncio.run(process.live())


class _Process:
    def __init__(
        self,
        paths: Paths,
        directory: Path,
        http: Optional[str],
        listen_fds: Sequence[int],
        control_fd: Optional[int],
        probe_fd: Optional[int],
        limits: Limits,
    ) -> None:
        self._paths = paths
        self._directory = directory
        self._http = http
        self._listen_fds = listen_fds
        self._control_fd = control_fd
        self._probe_fd = probe_fd
        self._limits = limits
        self._control: Optional[Control] = None

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        self._accept = asyncio.Event()
        self._drain = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain.set)
        if self._control_fd is not None:
            self._control = await Control.open(self._control_fd, self._command)
        try:
            await self._serve()
            self._tell("drained")
        except EdgeAIError as error:
            self._tell("failed", message=error.message, damaged=isinstance(error, DamagedError))
            raise
        except Exception as error:
            _log.exception("the serving process met a mistake of its own")
            failure = BackendError(
                f"{self._directory}: the runtime made a mistake while serving it "
                f"({type(error).__name__}: {error}); please report it."
            )
            self._tell("failed", message=failure.message)
            raise failure from error
        finally:
            if self._control is not None:
                await self._control.close()

    async def _serve(self) -> None:
        # Sockets first: an address that is taken is known before the models are loaded.
        listeners = self._listeners()
        generation, batching = await self._load()
        sampler = Sampler({name: model.version for name, model in generation.models.items()})
        # What is given the device's sockets is the device's service; all else is there to be measured.
        watch = watch_device(self._paths, sampler) if self._listen_fds else Watch(sampler, self._directory)
        app = App(generation, sampler, watch, batching, Cache())
        listening = Listening(listeners, app.answer, self._limits)
        tasks = [asyncio.get_running_loop().create_task(self._beat(sampler))]
        try:
            if self._http or self._control is None:
                # Before "ready" is said: a parent that reads it may connect at once.
                self._accept.set()
                listening.accept()
            if self._probe_fd is not None:
                listening.adopt(socket.socket(fileno=self._probe_fd))
            address = address_of(listeners[0])
            self._tell("ready", address=address, warmup_ms=round(generation.warmup_ms, 1))
            if self._control is None:
                print(f"edgeai serves on http://{address}", file=sys.stderr, flush=True)
            await _first(self._accept, self._drain)
            if not self._drain.is_set():
                tasks.append(asyncio.get_running_loop().create_task(watch.run()))
                listening.accept()
                self._tell("accepting")
                await self._drain.wait()
                tasks.pop().cancel()  # whoever takes over watches from now on
            await listening.drain()
        finally:
            for task in tasks:
                task.cancel()
            listening.close()
            app.close()
            watch.close()

    def _listeners(self) -> List[socket.socket]:
        if self._http:
            return [bind(self._http)]
        return [inherit(descriptor) for descriptor in self._listen_fds]

    async def _load(self) -> Tuple[Generation, Dict[str, Batching]]:
        # In a thread: whoever started us may change their mind while a large model loads.
        with ThreadPoolExecutor(max_workers=1) as thread:
            loop = asyncio.get_running_loop()
            generation = await loop.run_in_executor(thread, load_generation, self._directory)
            batching = await loop.run_in_executor(thread, _measure, generation)
        release_freed_memory()
        return generation, batching

    async def _beat(self, sampler: Sampler) -> None:
        while True:
            self._tell("heartbeat", **sampler.snapshot().heartbeat())
            await asyncio.sleep(HEARTBEAT_S)

    def _command(self, command: str) -> None:
        (self._accept if command == "accept" else self._drain).set()

    def _tell(self, event: str, **fields: object) -> None:
        if self._control is not None:
            self._control.send(event, **fields)


def _measure(generation: Generation) -> Dict[str, Batching]:
    found = {}
    for name, model in generation.models.items():
        sample = model.sample()
        found[name] = Batching() if sample is None else measure(model, sample)
    return found


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
